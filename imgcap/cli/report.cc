#include <algorithm>
#include <ctime>
#include <deque>
#include <memory>
#include <set>

#include "imgcap/cli/data_options.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/cli/language_options.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/photos.h"
#include "imgcap/cli/rule_options.h"
#include "imgcap/cli/set_files.h"
#include "imgcap/cli/settings.h"
#include "imgcap/decoding/search_settings.h"
#include "imgcap/report/report.h"
#include "imgcap/training/evaluate.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {
namespace {

using tensor::check;
using tensor::ErrorKind;

struct Options {
  std::vector<std::string> models, images, captions;
  PhotoChoice choice;
  std::string log, weights, device = "cpu", features, title = "What the captioners say", out, language;
  int64_t beam = 5, max_words = 30, photos = 12;
  double length_exponent = 1;
  RuleTexts rules;
};

// Photos as encoders see them. Models with the same encoder and preprocessing share one.
struct Encoding {
  std::string key;
  FeatureCache features;
};

// Caption files have a blank before each text.
std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

ReportPhoto show(const Dataset::Photo& photo, const ImageSource& source) {
  ReportPhoto shown;
  shown.name = photo.name;
  for (const std::string& text : photo.captions) shown.references.push_back(trimmed(text));
  try {
    const auto index = source.find(photo.name);
    check(index.has_value(), ErrorKind::data, "it is not among the photos");
    shown.image = source.read_image(*index);
  } catch (const tensor::Error& error) {
    if (error.kind() != ErrorKind::io && error.kind() != ErrorKind::data) throw;
    shown.problem = error.what();
  }
  return shown;
}

class Work {
 public:
  explicit Work(const Options& o)
      : o_(o),
        device_(choose_device_for(o.models, o.device)),
        captions_(load_captions(without_sets(o.captions), &splits_)),
        names_(o.choice.names(splits_)),
        source_(open_images(o.images)) {
    report_.title = o.title;
    report_.version = IMGCAP_VERSION;
    report_.made = time_of_report();
    report_.list = o.choice.label();
    report_.beam = o.beam;
    report_.max_words = o.max_words;
    report_.length_exponent = o.length_exponent;
    report_.rules = describe(o.rules);
    report_.listed = static_cast<int64_t>(names_.size());
    if (o.log.empty()) return;
    report_.log = read_training_log(o.log);
    report_.log_file = o.log;
  }

  // Scores the model and captions the photos that are shown.
  void add(const std::string& file, const std::string& name) {
    const Captioner captioner(load_model(file, o_.weights, ModelUse::parameters, device_));
    const Vocabulary& vocabulary = captioner.vocabulary();
    const std::string language = language_of(o_.language, vocabulary, captioner.default_language(), "report");
    const CaptionRules rules =
        rules_of(o_.rules, vocabulary, language, o_.max_words, SearchKind::standard, "report");
    const FeatureCache& features = features_of(captioner.encoder());
    const Dataset data = make_dataset(captions_, names_, features, vocabulary, 0, language);
    if (report_.models.empty()) choose_photos(data, features);
    SearchOptions search;
    search.beam = o_.beam;
    search.max_words = o_.max_words;
    search.length_exponent = o_.length_exponent;
    ScoreOptions score_options;
    score_options.split = report_.list;
    score_options = with_words_of(data.language.rules, score_options);
    ReportModel entry;
    entry.name = name;
    entry.file = file;
    entry.kind = to_string(captioner.info().decoder.kind);
    entry.encoder = captioner.info().encoder;
    entry.parameters = captioner.decoder().parameter_count();
    entry.encoder_parameters = captioner.encoder().encoder->parameter_count();
    entry.vocabulary = vocabulary.size();
    entry.notes = captioner.info().notes;
    Evaluation evaluation =
        evaluate(captioner.decoder(), data, features, vocabulary, search, score_options, rules);
    entry.scores = std::move(evaluation.scores);
    if (const auto fitted = captioner.info().confidence.find(data.language.code);
        fitted != captioner.info().confidence.end()) {
      entry.confidence = fitted->second;
      const JudgedSet judged{&data, &features, std::move(evaluation.judged)};
      entry.measure = measure_confidence(*entry.confidence, captioner.decoder(), {&judged, 1});
    }
    report_.models.push_back(std::move(entry));
    for (ReportPhoto& photo : report_.photos) caption(photo, captioner, language, features, rules);
  }

  const Report& report() const { return report_; }

 private:
  const FeatureCache& features_of(const LoadedEncoder& encoder) {
    const std::string key = encoder.key + to_json(encoder.preprocessing);
    for (const Encoding& encoding : encodings_)
      if (encoding.key == key) return encoding.features;
    // The file holds what one encoder says: the first model's.
    const bool first = encodings_.empty();
    EncodeReport unreadable;
    encodings_.push_back({key, load_features(encoder, o_.images, names_, first ? o_.features : std::string(),
                                             {}, &unreadable)});
    if (first) unreadable_ = {unreadable.skipped.begin(), unreadable.skipped.end()};
    return encodings_.back().features;
  }

  // The first ones that can be scored are shown; why others cannot is told.
  void choose_photos(const Dataset& data, const FeatureCache& features) {
    std::set<std::string> scored;
    for (const Dataset::Photo& photo : data.photos) scored.insert(photo.name);
    for (const std::string& name : names_) {
      if (scored.contains(name)) continue;
      const auto photo = source_.find(name);
      const auto reason = unreadable_.find(photo ? source_.name(*photo) : name);
      report_.left_out.emplace_back(name, reason != unreadable_.end() ? reason->second
                                          : photo && features.find_unreadable(source_.name(*photo)) != nullptr
                                              ? "it cannot be read"
                                          : features.find(name) ? "it has no reference captions"
                                                                : "it is not among the photos");
    }
    std::string problem;
    size_t readable = 0;
    for (size_t i = 0; i < std::min(data.photos.size(), static_cast<size_t>(o_.photos)); ++i) {
      ReportPhoto photo = show(data.photos[i], source_);
      if (photo.problem.empty())
        ++readable;
      else if (problem.empty())
        problem = photo.problem;
      report_.photos.push_back(std::move(photo));
    }
    check(readable > 0 || report_.photos.empty(), ErrorKind::data,
          "report: no photo can be shown; the first: {}", problem);
  }

  void caption(ReportPhoto& photo, const Captioner& captioner, const std::string& language,
               const FeatureCache& features, const CaptionRules& rules) const {
    const auto row = features.find(photo.name);
    if (!row) return;
    BeamOptions search;
    search.beam = o_.beam;
    search.max_words = o_.max_words;
    search.length_exponent = o_.length_exponent;
    search.rules = rules;
    search.attention = captioner.info().decoder.kind == DecoderKind::attention;
    const auto start = std::chrono::steady_clock::now();
    CaptionRequest request;
    request.features = features.rows({*row}).select(0, 0);
    request.search = search;
    request.language = language;
    PhotoCaption best = std::move(captioner.caption(request).captions.front());
    ReportCaption caption;
    caption.milliseconds = milliseconds_since(start);
    caption.model = report_.models.size() - 1;
    caption.text = std::move(best.text);
    caption.log_probability = best.log_probability;
    caption.attention = std::move(best.attention);
    photo.captions.push_back(std::move(caption));
  }

  const Options& o_;
  const tensor::Device device_;
  PhotosBySplit splits_;
  std::vector<CaptionsByPhoto> captions_;
  std::vector<std::string> names_;
  ImageSource source_;
  std::deque<Encoding> encodings_;
  std::map<std::string, std::string> unreadable_;  // photo -> reason
  Report report_;
};

void run(Options o) {
  const SetOption captions{"--captions", o.captions};
  expect_no_sets("report", captions, Before::set_and_language);
  expect_no_sets("report", {"--list", o.choice.lists});
  o.language = only_language("report", captions, o.language);
  expect_writable(o.out);
  Work work(o);
  const std::vector<std::string> names = short_names(o.models);
  for (size_t i = 0; i < o.models.size(); ++i) work.add(o.models[i], names[i]);
  const std::string page = render_report(work.report());
  tensor::io::write_file_atomically(o.out, page);
  print(tensor::format("{}: {} photos scored, {} shown, {} kB\n", o.out,
                       work.report().models.front().scores.images, work.report().photos.size(),
                       (page.size() + 999) / 1000));
}

}  // namespace

void add_report(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "report", "Scores, captions, attention and training as one HTML page");
  const auto o = std::make_shared<Options>();
  verb.option("--model", o->models,
              "Checkpoints, or attention or plain, the models in the box; once or more often")
      .required();
  verb.option("--images", o->images, "Folders or .tar archives of photos").required();
  verb.option("--captions", o->captions,
              "Caption files: the references; LANG:FILE for a language of the models'")
      .required();
  verb.option(
      "--lang", o->language,
      "The language of references that name none, as en or ar (default: each model's own, see imgcap info)");
  o->choice.add_options(verb, "The photos");
  verb.option(
      "--log", o->log,
      "The log of a training run, for its curves: log.jsonl, an event file of TensorBoard, or a folder of "
      "a resumed run's event files");
  verb.option("--weights", o->weights, "The encoder's weights (default: the encoder in the box)");
  add_device_option(verb, o->device);
  verb.option("--features", o->features, "Feature cache to use or to make, of the first model's encoder");
  add_search_settings(verb, kSearchSettings<Options>, *o, 100);
  add_rule_options(verb, o->rules);
  verb.option("--photos", o->photos, "Photos that are shown, the first of the list").range(0, 1000);
  verb.option("--title", o->title, "The page's heading");
  verb.option("--out", o->out, "The HTML file to write").required();
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
