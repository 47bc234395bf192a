#include "imgcap/serve/service.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "imgcap/serve/answers.h"
#include "imgcap/serve/caption_api.h"
#include "imgcap/serve/counters.h"
#include "imgcap/serve/form.h"
#include "imgcap/serve/openapi.h"
#include "imgcap/serve/page_files.h"
#include "imgcap/serve/side_answers.h"
#include "imgcap/serve/side_work.h"
#include "imgcap/serve/upload.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap::serve {
namespace {

using tensor::io::Json;

bool is_json(std::string_view content_type) {
  try {
    return parse_media_type(content_type).type == "application/json";
  } catch (const tensor::Error&) {
    return false;
  }
}

const PageFile* page_file(std::string_view path) {
  for (const PageFile& file : page_files())
    if (file.path == path) return &file;
  return nullptr;
}

const Example* example_at(const ServiceOptions& options, std::string_view path) {
  constexpr std::string_view kFolder = "/examples/";
  if (!path.starts_with(kFolder)) return nullptr;
  for (const Example& example : options.examples)
    if (path.substr(kFolder.size()) == example.name) return &example;
  return nullptr;
}

Json json_of(const Example& example) {
  return Json::object({{"name", example.name},
                       {"photo", "examples/" + example.name},
                       {"licence", example.licence},
                       {"author", example.author},
                       {"source", example.source}});
}

Json json_of(const ServedModel& model) {
  const Captioner& captioner = *model.captioner;
  const Preprocessing& size = captioner.encoder().preprocessing;
  Json json = Json::object({{"name", model.name},
                            {"kind", to_string(captioner.decoder().config().kind)},
                            {"encoder", captioner.info().encoder},
                            {"vocabulary", captioner.vocabulary().size()}});
  json["photo_size"] = std::vector<int64_t>{size.height, size.width};
  if (captioner.vocabulary().has_languages()) {
    json["languages"] = Json::array();
    for (const Language& language : captioner.vocabulary().languages())
      json["languages"].push_back(
          Json::object({{"code", language.code}, {"words", captioner.vocabulary().words(language)}}));
    json["language"] = captioner.default_language();
  }
  json["device"] = to_string(captioner.decoder().device());
  json["attention"] = captioner.decoder().config().kind == DecoderKind::attention;
  json["confidence"] = !captioner.info().confidence.empty();
  return json;
}

}  // namespace

std::vector<const ServedModel*> models_of(const ServiceOptions& options, const std::string& name) {
  std::vector<const ServedModel*> models;
  for (const ServedModel& model : options.models)
    if (name == "all" || name == model.name || (name.empty() && models.empty())) models.push_back(&model);
  tensor::check(!models.empty(), tensor::ErrorKind::argument,
                "options: there is no model {}; /api/models lists them", tensor::io::in_quotes(name));
  return models;
}

std::vector<std::pair<const ServedModel*, std::string>> asked_of(const ServiceOptions& options,
                                                                 const CaptionWish& wish) {
  const std::vector<const ServedModel*> models = models_of(options, wish.model);
  std::vector<std::pair<const ServedModel*, std::string>> asked;
  for (const ServedModel* model : models) try {
      for (const std::string& language : languages_of(wish, *model->captioner))
        asked.emplace_back(model, language);
    } catch (const tensor::Error&) {
      if (models.size() == 1) throw;
    }
  tensor::check(!asked.empty(), tensor::ErrorKind::argument, "options: no model has the language {}",
                tensor::io::in_quotes(wish.language));
  return asked;
}

class Service::Impl {
 public:
  explicit Impl(ServiceOptions options)
      : options_(std::move(options)), captions_(options_, counters_), side_work_(options_.queue) {
    add("healthz", "GET", "/healthz", [](const auto& exchange) {
      exchange->respond(json_answer(Json::object({{"status", "ok"}})));
    }).open = true;
    add("models", "GET", "/api/models", [this](const auto& exchange) { exchange->respond(models()); });
    add("examples", "GET", "/api/examples", [this](const auto& exchange) { exchange->respond(examples()); });
    if (options_.run) {
      add("run", "GET", "/api/run", [this](const auto& exchange) {
        side_work_.add(exchange, [this](const Exchange&) { return json_answer(options_.run->now()); });
      });
      add("run_preview", "GET", "/api/run/preview", [this](const auto& exchange) {
        side_work_.add(exchange, [this](const Exchange& each) { return preview(each.request()); });
      });
    }
    add("openapi", "GET", "/openapi.json",
        [this](const auto& exchange) { exchange->respond(description()); });
    add("metrics", "GET", "/metrics", [this](const auto& exchange) { exchange->respond(metrics()); });
    add("caption", "POST", "/api/caption", [this](const auto& exchange) {
      captions_.handle(exchange);
    }).takes = Body::photos;
    add("explain", "POST", "/api/explain", [this](const auto& exchange) {
      side_work_.add(exchange, [this](const Exchange& each) { return explain_answer(options_, each); });
    }).takes = Body::photos;
    add("report", "POST", "/api/report", [this](const auto& exchange) {
      side_work_.add(exchange, [this](const Exchange& each) { return report_answer(options_, each); });
    }).takes = Body::photos;
    add("score", "POST", "/api/score", [this](const auto& exchange) {
      side_work_.add(exchange, score_answer);
    }).takes = Body::json;
  }

  std::optional<HttpResponse> admit(const HttpHead& head) const {
    const auto refused = [&](const std::optional<Refusal>& refusal) {
      HttpResponse response = error_answer(refusal->status, refusal->text);
      response.fields.insert(response.fields.end(), refusal->fields.begin(), refusal->fields.end());
      return guarded(std::move(response), &head);
    };
    const std::string_view path = inner_path(options_.access, head.path());
    const Route* route = route_of(path);
    const bool is_file = page_file(path) != nullptr || example_at(options_, path) != nullptr;
    const bool open = is_file || (route != nullptr && route->open);
    if (const auto refusal = refused_site(options_.access, head); refusal && !(route && route->open))
      return refused(refusal);
    if (head.method == "OPTIONS" && !head.field("origin").empty()) return guarded(preflight(), &head);
    if (!options_.access.root_path.empty() && path.empty())
      return guarded({301, "", "", {{"Location", options_.access.root_path + "/"}}}, &head);
    if (!open)
      if (const auto refusal = refused_token(options_.access, head)) return refused(refusal);
    if (route == nullptr && !is_file) return refused(Refusal{404, "there is nothing at this address"});
    const std::string method = route ? route->method : "GET";
    if (head.method != method && !(method == "GET" && head.method == "HEAD"))
      return refused(
          Refusal{405, "this address takes " + method, {{"Allow", method == "GET" ? "GET, HEAD" : method}}});
    if (route && route->takes == Body::photos && !takes_photos(head.field("content-type")))
      return refused(
          Refusal{415, "photos are sent as multipart/form-data, as application/octet-stream or as image/*"});
    if (route && route->takes == Body::json && !is_json(head.field("content-type")))
      return refused(Refusal{415, "this address takes application/json"});
    return std::nullopt;
  }

  void handle(const std::shared_ptr<Exchange>& bare) {
    const auto exchange = std::make_shared<Guarded>(*this, bare);
    const std::string_view path = inner_path(options_.access, exchange->request().path());
    if (const Route* route = route_of(path)) return route->handle(exchange);
    if (const Example* example = example_at(options_, path))
      return exchange->respond({200, "image/jpeg", example->bytes, {{"Cache-Control", "max-age=3600"}}});
    const PageFile& file = *page_file(path);
    const HttpFields fields = {{"Cache-Control", "no-cache"}, {"ETag", std::string(file.etag)}};
    if (exchange->request().field("if-none-match") == file.etag)
      return exchange->respond({304, "", "", fields});
    exchange->respond({200, std::string(file.type), std::string(file.bytes), fields});
  }

  HttpResponse guarded(HttpResponse response, const HttpHead* head) const {
    for (auto& field : guarding_fields(options_.access, head)) response.fields.push_back(std::move(field));
    return response;
  }

  void answered(const HttpHead* head, int status, double seconds) {
    const std::string_view path = head ? inner_path(options_.access, head->path()) : std::string_view{};
    const Route* route = route_of(path);
    counters_.answered(route ? route->name : page_file(path) ? "page" : "other", status, seconds);
  }

  void tell_of(const HttpNow* now) { now_ = now; }

 private:
  using Handler = std::function<void(const std::shared_ptr<Exchange>&)>;
  enum class Body { none, photos, json };
  struct Route {
    std::string name, method, path;
    Handler handle;
    bool open = false;  // without a token, and whatever the host's name
    Body takes = Body::none;
  };

  // An exchange whose answers have the guarding fields.
  class Guarded final : public Exchange {
   public:
    Guarded(const Impl& service, std::shared_ptr<Exchange> inner)
        : service_(service), inner_(std::move(inner)) {}
    const HttpRequest& request() const override { return inner_->request(); }
    const std::atomic<bool>& over() const override { return inner_->over(); }
    void respond(HttpResponse response) override {
      inner_->respond(service_.guarded(std::move(response), &request()));
    }
    void begin_events(HttpFields fields) override {
      inner_->begin_events(service_.guarded({200, "", "", std::move(fields)}, &request()).fields);
    }
    void event(std::string_view name, std::string_view data) override { inner_->event(name, data); }
    void end_events() override { inner_->end_events(); }

   private:
    const Impl& service_;
    std::shared_ptr<Exchange> inner_;
  };

  Route& add(const char* name, const char* method, const char* path, Handler handle) {
    return routes_.emplace_back(Route{name, method, path, std::move(handle)});
  }

  const Route* route_of(std::string_view path) const {
    for (const Route& route : routes_)
      if (route.path == path) return &route;
    return nullptr;
  }

  static HttpResponse preflight() {
    return {204,
            "",
            "",
            {{"Access-Control-Allow-Methods", "GET, POST"},
             {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
             {"Access-Control-Max-Age", "600"}}};
  }

  HttpResponse models() const {
    Json json = Json::object({{"models", Json::array()}});
    for (const ServedModel& model : options_.models) json["models"].push_back(json_of(model));
    return json_answer(json);
  }

  HttpResponse examples() const {
    Json json = Json::object({{"examples", Json::array()}});
    for (const Example& example : options_.examples) json["examples"].push_back(json_of(example));
    return json_answer(json);
  }

  // ?number=3
  HttpResponse preview(const HttpRequest& request) const {
    const std::string_view query = request.query();
    constexpr std::string_view kName = "number=";
    size_t number = 0;
    const char *begin = query.data() + std::min(kName.size(), query.size()),
               *end = query.data() + query.size();
    const auto [read, error] = std::from_chars(begin, end, number);
    const bool sound = query.starts_with(kName) && error == std::errc{} && read == end;
    std::optional<std::string> bytes = sound ? options_.run->preview(number) : std::nullopt;
    if (!bytes) return error_answer(404, "there is no such preview");
    return {200, "image/jpeg", std::move(*bytes), {{"Cache-Control", "max-age=3600"}}};
  }

  HttpResponse description() const {
    OpenApiFacts facts;
    facts.version = options_.version;
    facts.root_path = options_.access.root_path;
    facts.token = !options_.access.token.empty();
    facts.run = options_.run != nullptr;
    std::set<std::string> languages;
    for (const ServedModel& model : options_.models) {
      facts.models.push_back(model.name);
      for (const Language& language : model.captioner->vocabulary().languages())
        if (!language.code.empty()) languages.insert(language.code);
    }
    facts.languages.assign(languages.begin(), languages.end());
    return json_answer(openapi(facts));
  }

  HttpResponse metrics() const {
    const QueueNumbers& queue = captions_.queue();
    std::vector<Counters::Gauge> gauges = {
        {"imgcap_photos_now", "Photos that wait or are worked on.", captions_.photos()},
        {"imgcap_searches_waiting", "Searches that are in no batch yet.", queue.waiting},
        {"imgcap_batches", "Batches so far.", queue.batches},
        {"imgcap_searches", "Searches in them.", queue.searches},
        {"imgcap_searches_dropped", "Searches that nobody waited for any more.", queue.dropped}};
    if (now_ != nullptr) {
      gauges.push_back({"imgcap_connections", "Open connections.", now_->connections});
      gauges.push_back({"imgcap_body_bytes", "Bytes of requests' bodies that are held.", now_->bodies});
    }
    return {200, "text/plain; version=0.0.4", counters_.text(gauges), {{"Cache-Control", "no-store"}}};
  }

  const ServiceOptions options_;
  Counters counters_;
  std::vector<Route> routes_;
  const HttpNow* now_ = nullptr;
  CaptionApi captions_;
  SideWork side_work_;
};

Service::Service(ServiceOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Service::~Service() = default;

HttpHandlers Service::handlers() {
  HttpHandlers handlers;
  handlers.admit = [this](const HttpHead& head) { return impl_->admit(head); };
  handlers.handle = [this](const std::shared_ptr<Exchange>& exchange) { impl_->handle(exchange); };
  handlers.refusal = [this](const HttpHead* head, int status, const std::string& text) {
    return impl_->guarded(error_answer(status, text), head);
  };
  handlers.answered = [this](const HttpHead* head, int status, double seconds) {
    impl_->answered(head, status, seconds);
  };
  return handlers;
}

void Service::tell_of(const HttpNow* now) { impl_->tell_of(now); }

}  // namespace imgcap::serve
