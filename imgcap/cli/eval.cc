#include <memory>
#include <optional>

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/cli/encoder_precision.h"
#include "imgcap/cli/language_options.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/rule_options.h"
#include "imgcap/cli/set_files.h"
#include "imgcap/cli/settings.h"
#include "imgcap/cli/text_options.h"
#include "imgcap/cli/training_captions.h"
#include "imgcap/decoding/reference_form.h"
#include "imgcap/decoding/search_settings.h"
#include "imgcap/metrics/diversity.h"
#include "imgcap/training/evaluate.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

struct Options {
  std::string checkpoint, weights, features, fit, out, language;
  EnsembleOption ensemble;
  std::vector<std::string> images, captions;
  PhotoChoice photos;
  TrainingCaptions training;
  int64_t beam = 5, max_words = 30;
  double length_exponent = 1;
  RuleOptions rules;
  Behaviours behaviours;
  ScoreWords words;
  Precision precision = Precision::f32;
  bool json = false;
};

// One set's captions and scores, or those of all where there is only one.
struct Result {
  std::string set, language;
  Evaluation evaluation;
  Diversity varied;
};

// What a set is scored on.
struct SetPhotos {
  std::string set, language, label;
  std::vector<CaptionsByPhoto> captions;
  std::vector<std::string> names;
};

SetPhotos photos_of(const FileSet& set, const Options& o) {
  const PhotoChoice photos{set.of("--list"), o.photos.split};
  PhotosBySplit splits;
  SetPhotos chosen{set.name, set.language, photos.label(), load_captions(set.of("--captions"), &splits), {}};
  chosen.names = photos.names(splits);
  return chosen;
}

// Errors of f begin with the set's name, where it has one.
void about_set(const std::string& set, const std::function<void()>& f) {
  set.empty() ? f() : tensor::about_file("set " + set, f);
}

// "attention", or with a set "attention, flickr8k"; of an ensemble "attention + mine/best".
ScoreRow row_of(const Captioner& captioner, const Options& o, const std::string& set, const Scores& scores) {
  const bool one = captioner.models().size() == 1;
  const std::string name =
      one ? to_string(captioner.info().decoder.kind) : tensor::join(short_names(captioner.models()), " + ");
  ScoreRow row{set.empty() ? name : name + ", " + set, {}, static_cast<int>(o.beam), scores};
  if (!one) return row;
  if (const auto epoch = captioner.info().notes.find("epoch"); epoch != captioner.info().notes.end())
    row.epoch = std::atoi(epoch->second.c_str());
  return row;
}

// How far captions can be trusted, and what came of it on these photos.
struct Trust {
  Confidence confidence;
  ConfidenceMeasure measure;
};

// The means, and with sets each one's; the models where there are several. How varied captions are,
// and their language, is a list's own.
Json json_of(const Scores& mean, const std::vector<Result>& results, const std::vector<std::string>& models,
             const std::optional<Trust>& trust) {
  Json json = to_json(mean);
  if (models.size() > 1) json["models"] = models;
  for (const Result& result : results) {
    Json of_set = to_json(result.evaluation.scores);
    Json& own = result.set.empty() ? json : of_set;
    if (!result.language.empty()) own["language"] = result.language;
    add_diversity(own, result.varied);
    if (!result.set.empty()) json["sets"][result.set] = std::move(of_set);
  }
  if (trust) json["confidence"] = to_json(trust->measure, trust->confidence);
  return json;
}

void write_results(const Options& o, const Scores& mean, const std::vector<Result>& results,
                   const std::vector<std::string>& models, const std::optional<Trust>& trust) {
  Json json = Json::object({{"scores", json_of(mean, results, models, trust)}, {"beam", o.beam}});
  for (const Result& result : results)
    for (size_t i = 0; const auto& [name, text] : result.evaluation.captions) {
      Json caption = Json::object({{"image_id", name}, {"caption", text}});
      if (!result.set.empty()) caption["set"] = result.set;
      if (!result.language.empty()) caption["language"] = result.language;
      if (trust) caption["confidence"] = trust->confidence(result.evaluation.judged.at(i++).features);
      json["captions"].push_back(std::move(caption));
    }
  tensor::io::write_file_atomically(o.out, json.dump(1) + "\n");
}

// Of the model's own confidence or of the one that is fitted now, which is written, too; nothing where there is none.
std::optional<Trust> trust_of(const Captioner& captioner, const std::vector<Dataset>& datasets,
                              const FeatureCache& features, const std::vector<Result>& results,
                              const Scores& mean, const Options& o) {
  const bool by_photo = o.behaviours.protocol == Protocol::standard;
  if (!by_photo || (o.fit.empty() && !captioner.info().confidence)) return std::nullopt;
  std::vector<JudgedSet> judged;
  for (size_t i = 0; i < results.size(); ++i)
    judged.push_back({&datasets[i], &features, results[i].evaluation.judged});
  const Confidence confidence = o.fit.empty()
                                    ? *captioner.info().confidence
                                    : fit_confidence(captioner.decoder(), judged, mean.split, o.beam);
  if (!o.fit.empty()) copy_with_confidence(model_file(o.checkpoint), o.fit, confidence);
  return Trust{confidence, measure_confidence(confidence, captioner.decoder(), judged)};
}

void run(const Options& o, bool precision_given) {
  if (!o.out.empty()) expect_writable(o.out);
  ScoreOptions score_options;
  score_options.protocol = o.behaviours.protocol;
  score_options.tokenizer = o.words.tokenizer;
  score_options.normalisation = o.words.normalisation;
  validate(score_options);
  if (!o.fit.empty()) {
    expect_writable(o.fit);
    tensor::check(o.ensemble.others.empty(), tensor::ErrorKind::argument,
                  "eval: --fit-confidence: a confidence is one model's; leave out --ensemble");
    tensor::check(
        o.behaviours.protocol == Protocol::standard, tensor::ErrorKind::argument,
        "eval: --fit-confidence: it goes by each photo's CIDEr, which the original's protocol has not");
  }
  std::vector<FileSet> sets =
      files_by_set("eval", {"--captions", o.captions}, {{"--list", o.photos.lists}}, o.language);
  const Captioner captioner(
      o.ensemble.load(o.checkpoint, o.weights, o.behaviours.search, "eval", ModelUse::parameters));
  const EncodeOptions encoding = set_encoder_precision(captioner.encoder(), o.precision, precision_given);
  const Vocabulary& vocabulary = captioner.vocabulary();
  expect_knows_languages(o.behaviours.search, vocabulary, "eval");
  std::vector<CaptionRules> rules;
  for (FileSet& set : sets) {
    set.language = language_of(set.language, vocabulary, captioner.default_language(), "eval");
    rules.push_back(rules_of(o.rules, vocabulary, set.language, o.max_words, o.behaviours.search, "eval"));
  }
  auto training = o.training.texts();
  if (training)
    for (std::string& text : *training) text = in_form(text, vocabulary, form_of(o.behaviours.search));
  SearchOptions search;
  search.beam = o.beam;
  search.max_words = o.max_words;
  search.length_exponent = o.length_exponent;
  search.kind = o.behaviours.search;
  std::vector<SetPhotos> chosen;
  std::vector<std::string> all;
  for (const FileSet& set : sets)
    about_set(set.name, [&] {
      chosen.push_back(photos_of(set, o));
      all.insert(all.end(), chosen.back().names.begin(), chosen.back().names.end());
    });
  // At once, so that a name that could mean another set's photo is found out.
  const FeatureCache features = load_features(captioner.encoder(), o.images, all, o.features, encoding);
  std::vector<Dataset> datasets;
  for (const SetPhotos& set : chosen)
    about_set(set.set, [&] {
      datasets.push_back(make_dataset(set.captions, set.names, features, vocabulary, 0, set.language));
      report_without_captions(datasets.back());
    });
  std::vector<Result> results;
  std::vector<Scores> scores;
  for (size_t i = 0; i < chosen.size(); ++i) {
    score_options.split = chosen[i].label;
    const ScoreOptions own = o.words.with_own(datasets[i].language.rules, score_options);
    Result& result = results.emplace_back(
        Result{chosen[i].set,
               chosen[i].language,
               evaluate(captioner.decoder(), datasets[i], features, vocabulary, search, own, rules[i]),
               {}});
    scores.push_back(result.evaluation.scores);
    result.varied = diversity(result.evaluation.captions, scores.back().tokenizer,
                              training ? &*training : nullptr, scores.back().normalisation);
  }
  const Scores mean = mean_of(scores);
  const std::optional<Trust> trust = trust_of(captioner, datasets, features, results, mean, o);
  if (!o.out.empty()) write_results(o, mean, results, captioner.models(), trust);
  if (o.json) {
    print_line(json_of(mean, results, captioner.models(), trust));
    return;
  }
  std::vector<ScoreRow> rows;
  for (const Result& result : results)
    rows.push_back(row_of(captioner, o, result.set, result.evaluation.scores));
  if (rows.size() > 1) rows.push_back(row_of(captioner, o, "mean", mean));
  std::string varied;
  for (const Result& result : results)
    varied += (result.set.empty() ? "" : result.set + ": ") + describe(result.varied) + "\n";
  if (trust) varied += describe(trust->measure, trust->confidence, mean.split) + "\n";
  print(score_table(rows) + varied);
}

}  // namespace

void add_eval(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "eval", "Caption the photos of a list and score the captions");
  const auto o = std::make_shared<Options>();
  verb.option("--checkpoint", o->checkpoint, "A checkpoint, or attention or plain: the models in the box")
      .required();
  o->ensemble.add_option(verb);
  verb.option("--weights", o->weights, "The encoder's weights (default: the encoder in the box)");
  verb.option("--images", o->images, "Folders or .tar archives of photos").required();
  verb.option(
          "--captions", o->captions,
          "Caption files: the references; SET=FILE for scores of several data sets and their means, LANG:FILE "
          "or SET=LANG:FILE for a language of the model's")
      .required();
  verb.option(
      "--lang", o->language,
      "The language of references that name none, as en or ar (default: the model's own, see imgcap info)");
  o->photos.add_options(verb, "The photos (SET=FILE for one set)");
  verb.option("--features", o->features, "Feature cache to use or to make");
  add_encoder_precision(verb, o->precision);
  add_search_settings(verb, kSearchSettings<Options>, *o, 100);
  add_rule_options(verb, o->rules);
  add_eval_behaviours(verb, o->behaviours);
  add_score_words(verb, o->words, DefaultWords::of_language);
  o->training.add_options(verb);
  verb.option(
      "--fit-confidence", o->fit,
      "Writes a copy of the checkpoint that says of its captions how far they can be trusted: fitted to half of "
      "the photos; the other half shows how well it holds");
  verb.option("--out", o->out, "File for scores and captions (JSON)");
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o, verb] { run(*o, verb.given("--precision")); });
}

}  // namespace imgcap::cli
