#include "imgcap/serve/caption_api.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "imgcap/caption_json.h"
#include "imgcap/data/resize.h"
#include "imgcap/serve/answers.h"
#include "imgcap/serve/photo.h"
#include "imgcap/serve/upload.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap::serve {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

void add_to(Json& json, const CaptionResult& result) {
  const PhotoCaption& best = result.captions.front();
  imgcap::add_to(json, best);
  if (!best.attention.maps.empty()) imgcap::add_to(json["attention"], best.attention);
  if (result.captions.size() == 1) return;
  json["alternatives"] = Json::array();
  for (size_t k = 1; k < result.captions.size(); ++k) {
    Json other = Json::object();
    imgcap::add_to(other, result.captions[k]);
    json["alternatives"].push_back(std::move(other));
  }
}

bool wants_events(const HttpRequest& request) {
  return request.field("accept").find("text/event-stream") != std::string_view::npos;
}

}  // namespace

// The answer to one request while its parts come in, from the readers and the queue. It is kept by those who still have
// something to add; the last of them sends it.
class CaptionApi::Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(CaptionApi& api, std::shared_ptr<Exchange> exchange, Upload upload)
      : api_(api),
        exchange_(std::move(exchange)),
        upload_(std::move(upload)),
        events_(wants_events(exchange_->request())),
        photos_(upload_.photos.size()) {
    if (events_) exchange_->begin_events({{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}});
  }
  ~Answer() {
    api_.photos_ -= static_cast<int64_t>(photos_.size());
    api_.counters_.captioned(
        std::count_if(photos_.begin(), photos_.end(), [](const Photo& photo) { return photo.captioned; }));
    if (events_) {
      send("end", Json::object({{"notes", notes_}}));
      exchange_->end_events();
    } else {
      exchange_->respond(whole());
    }
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  const Upload& upload() const { return upload_; }
  const std::atomic<bool>& over() const { return exchange_->over(); }
  bool events() const { return events_; }

  void note(const std::vector<std::string>& notes) {
    for (const std::string& note : notes)
      if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(note);
  }

  void photo(size_t index, const UploadedPhoto& uploaded, const Image& image) {
    Json json = photo_json(uploaded, image, upload_.wish.preview);
    if (events_) send("photo", with_index(index, json));
    const std::lock_guard lock(mutex_);
    photos_[index].json = std::move(json);
  }

  void unreadable(size_t index, const UploadedPhoto& uploaded, const std::string& error) {
    problem(index, Json::object({{"name", uploaded.name}, {"error", error}}), 422);
  }

  // A place for a search's result among its photo's.
  size_t place(size_t index, const std::string& model, const std::string& language) {
    Json json = Json::object({{"model", model}});
    if (!language.empty()) json["language"] = language;
    photos_[index].results.push_back(std::move(json));
    return photos_[index].results.size() - 1;
  }

  void words(size_t index, size_t place, const std::string& text) {
    Json json = with_index(index, photos_[index].results[place]);
    json["text"] = text;
    send("words", json);
  }

  void captioned(size_t index, size_t place, const CaptionResult& result) {
    if (result.captions.empty()) return;
    Json json = photos_[index].results[place];
    add_to(json, result);
    json["milliseconds"] = std::round(10 * milliseconds()) / 10;
    photos_[index].captioned = true;
    ++captioned_;
    if (events_)
      send("caption", with_index(index, json));
    else
      photos_[index].results[place] = std::move(json);
  }

  void failed(size_t index, const std::string& error, bool ours) {
    problem(index, Json::object({{"error", ours ? "the server failed" : error}}), ours ? 500 : 400);
  }

 private:
  struct Photo {
    Json json;
    std::vector<Json> results;  // made by the reader, filled by the queue
    bool failed = false, captioned = false;
  };

  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun_).count();
  }

  static Json with_index(size_t index, const Json& json) {
    Json out = Json::object({{"photo", index}});
    for (size_t i = 0; i < json.size(); ++i) out.add(json.keys()[i], json.items()[i]);
    return out;
  }

  void send(const char* name, const Json& json) { exchange_->event(name, json.dump()); }

  void problem(size_t index, Json json, int status) {
    if (events_) send("problem", with_index(index, json));
    const std::lock_guard lock(mutex_);
    ++problems_;
    status_ = std::max(status_, status);
    problem_ = json.at("error").as_text();
    photos_[index].failed = true;
    photos_[index].json = std::move(json);
  }

  // One photo's trouble is an answer for the others, unless there are none.
  HttpResponse whole() {
    if (problems_ > 0 && (captioned_ == 0 || status_ == 500)) return error_answer(status_, problem_);
    Json json = Json::object({{"photos", Json::array()}});
    for (Photo& photo : photos_) {
      if (!photo.failed) photo.json["captions"] = photo.results;
      json["photos"].push_back(std::move(photo.json));
    }
    if (!notes_.empty()) json["notes"] = notes_;
    return json_answer(json);
  }

  CaptionApi& api_;
  std::shared_ptr<Exchange> exchange_;
  const Upload upload_;
  const bool events_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::mutex mutex_;  // of the reader's and the queue's thread
  std::vector<Photo> photos_;
  std::vector<std::string> notes_;
  std::string problem_;
  int64_t captioned_ = 0, problems_ = 0;
  int status_ = 0;
};

CaptionApi::CaptionApi(const ServiceOptions& options, Counters& counters)
    : options_(options), counters_(counters), readers_(options.readers) {}

void CaptionApi::handle(std::shared_ptr<Exchange> exchange) {
  // Those that wait for a reader, too.
  if (photos_ + unread_ >= options_.queue) return exchange->respond(busy_answer());
  ++unread_;
  readers_.add([this, exchange = std::move(exchange)] {
    --unread_;
    read(exchange);
  });
}

// On a reader's thread. The answer goes to the exchange when the last job lets go of it.
void CaptionApi::read(const std::shared_ptr<Exchange>& exchange) {
  if (exchange->over()) return;
  try {
    // More than may ever wait would be told to try again for ever.
    Upload upload = upload_of(exchange->request(), std::min(options_.photos_per_request, options_.queue));
    const std::vector<Search> searches = searches_of(upload.wish);
    const auto photos = static_cast<int64_t>(upload.photos.size());
    if ((photos_ += photos) > options_.queue) {
      photos_ -= photos;
      return exchange->respond(busy_answer());
    }
    const auto answer = std::make_shared<Answer>(*this, exchange, std::move(upload));
    for (const Search& search : searches) answer->note(search.notes);
    int64_t pixels = 0;
    for (size_t i = 0; i < static_cast<size_t>(photos) && !exchange->over(); ++i) {
      if (pixels > options_.pixels_per_request)
        answer->unreadable(i, answer->upload().photos[i],
                           "the photos before it have as many pixels as a request may have");
      else
        pixels += ask_for(answer, i, searches);
    }
  } catch (const tensor::Error& error) {
    exchange->respond(error_answer(error));
  } catch (const std::exception&) {
    exchange->respond(error_answer(500, "the server failed"));
  }
}

// A search in each photo for each model and language.
std::vector<CaptionApi::Search> CaptionApi::searches_of(const CaptionWish& wish) const {
  std::vector<Search> searches;
  for (const auto& [model, language] : asked_of(options_, wish)) {
    Search& search = searches.emplace_back();
    search.model = model;
    search.request = request_of(wish, *model->captioner, language, search.notes);
  }
  return searches;
}

// The photo's pixels.
int64_t CaptionApi::ask_for(const std::shared_ptr<Answer>& answer, size_t index,
                            const std::vector<Search>& searches) {
  const UploadedPhoto& uploaded = answer->upload().photos[index];
  std::vector<CaptionJob> jobs;
  int64_t pixels = 0;
  try {
    const Image image = read_photo(uploaded, options_.images);
    pixels = image.height * image.width;
    answer->photo(index, uploaded, image);
    // What waits is as small as the encoder's input: resized here, as the encoder would.
    std::map<std::pair<int64_t, int64_t>, std::shared_ptr<const Image>> resized;
    for (const Search& search : searches) {
      const Preprocessing& size = search.model->captioner->encoder().preprocessing;
      std::shared_ptr<const Image>& photo = resized[{size.height, size.width}];
      if (!photo) photo = std::make_shared<Image>(resize(image, size.height, size.width));
      add_jobs(answer, index, search, photo, jobs);
    }
  } catch (const tensor::Error& error) {
    answer->unreadable(index, uploaded, error.what());
    return pixels;
  } catch (const std::bad_alloc&) {
    answer->failed(index, "", true);
    return pixels;
  }
  queue_.add(std::move(jobs));
  return pixels;
}

void CaptionApi::add_jobs(const std::shared_ptr<Answer>& answer, size_t index, const Search& search,
                          const std::shared_ptr<const Image>& photo, std::vector<CaptionJob>& jobs) const {
  const size_t place = answer->place(index, search.model->name, search.request.language);
  CaptionJob job;
  job.captioner = search.model->captioner.get();
  job.photo = photo;
  job.request = search.request;
  job.request.stop = &answer->over();
  job.done = [answer, index, place](const CaptionResult& result) { answer->captioned(index, place, result); };
  job.failed = [answer, index](const std::string& error, bool ours) { answer->failed(index, error, ours); };
  if (answer->events()) {
    // While a beam is searched, the greedy caption grows before the reader's eyes.
    const auto show = [answer, index, place](const std::string& text) { answer->words(index, place, text); };
    auto* beam = std::get_if<BeamOptions>(&job.request.search);
    if (beam == nullptr || beam->beam == 1) {
      job.request.on_word = show;
    } else {
      CaptionJob greedy = job;
      BeamOptions one = *beam;
      one.beam = one.nbest = 1;
      one.attention = false;
      greedy.request.search = one;
      greedy.request.on_word = show;
      greedy.done = [answer](const CaptionResult&) {};
      jobs.push_back(std::move(greedy));
    }
  }
  jobs.push_back(std::move(job));
}

}  // namespace imgcap::serve
