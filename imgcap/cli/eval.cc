#include <memory>
#include <optional>

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/cli/device_option.h"
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
  std::string checkpoint, weights, device = "cpu", features, fit, out, language;
  EnsembleOption ensemble;
  std::vector<std::string> images, captions;
  PhotoChoice photos;
  TrainingCaptions training;
  int64_t beam = 5, max_words = 30;
  double length_exponent = 1;
  RuleTexts rules;
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

// How far captions can be trusted, and what came of it on these photos, by language.
struct Trust {
  Confidence confidence;
  ConfidenceMeasure measure;
  std::string list;
};
using Trusts = std::map<std::string, Trust>;

// The means, and with sets each one's; the models where there are several. How varied captions are,
// and their language, is a list's own.
Json json_of(const Scores& mean, const std::vector<Result>& results, const std::vector<std::string>& models,
             const Trusts& trusts) {
  Json json = to_json(mean);
  if (models.size() > 1) json["models"] = models;
  for (const Result& result : results) {
    Json of_set = to_json(result.evaluation.scores);
    Json& own = result.set.empty() ? json : of_set;
    if (!result.language.empty()) own["language"] = result.language;
    add_diversity(own, result.varied);
    if (!result.set.empty()) json["sets"][result.set] = std::move(of_set);
  }
  for (const auto& [language, trust] : trusts) {
    Json& own = language.empty() ? json["confidence"] : json["confidence"][language];
    own = to_json(trust.measure, trust.confidence);
  }
  return json;
}

void write_results(const Options& o, const Scores& mean, const std::vector<Result>& results,
                   const std::vector<std::string>& models, const Trusts& trusts) {
  Json json = Json::object({{"scores", json_of(mean, results, models, trusts)}, {"beam", o.beam}});
  for (const Result& result : results) {
    const auto trust = trusts.find(result.language);
    for (size_t i = 0; const auto& [name, text] : result.evaluation.captions) {
      Json caption = Json::object({{"image_id", name}, {"caption", text}});
      if (!result.set.empty()) caption["set"] = result.set;
      if (!result.language.empty()) caption["language"] = result.language;
      if (trust != trusts.end())
        caption["confidence"] = trust->second.confidence(result.evaluation.judged.at(i++).features);
      json["captions"].push_back(std::move(caption));
    }
  }
  tensor::io::write_file_atomically(o.out, json.dump(1) + "\n");
}

// Of the model's own confidences or of those that are fitted now, which are written, too.
Trusts trusts_of(const Captioner& captioner, const std::vector<Dataset>& datasets,
                 const FeatureCache& features, const std::vector<Result>& results, const Options& o) {
  Trusts trusts;
  if (o.behaviours.protocol != Protocol::standard) return trusts;
  std::map<std::string, std::vector<JudgedSet>> judged;
  std::map<std::string, std::string> lists;
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string& language = results[i].language;
    judged[language].push_back({&datasets[i], &features, results[i].evaluation.judged});
    lists[language] += (lists[language].empty() ? "" : ", ") + results[i].evaluation.scores.split;
  }
  Confidences confidences = captioner.info().confidence;
  if (!o.fit.empty()) {
    confidences.clear();
    for (const auto& [language, sets] : judged)
      confidences[language] = fit_confidence(captioner.decoder(), sets, lists[language], o.beam);
    copy_with_confidence(model_file(o.checkpoint), o.fit, confidences);
  }
  for (const auto& [language, sets] : judged)
    if (const auto own = confidences.find(language); own != confidences.end())
      trusts[language] = {own->second, measure_confidence(own->second, captioner.decoder(), sets),
                          lists[language]};
  return trusts;
}

// The scores, in the form that is asked for.
void tell_scores(const Captioner& captioner, const Options& o, const std::vector<Result>& results,
                 const Trusts& trusts) {
  std::vector<Scores> scores;
  for (const Result& result : results) scores.push_back(result.evaluation.scores);
  const Scores mean = mean_of(scores);
  if (!o.out.empty()) write_results(o, mean, results, captioner.models(), trusts);
  if (o.json) return print_line(json_of(mean, results, captioner.models(), trusts));
  std::vector<ScoreRow> rows;
  for (const Result& result : results)
    rows.push_back(row_of(captioner, o, result.set, result.evaluation.scores));
  if (rows.size() > 1) rows.push_back(row_of(captioner, o, "mean", mean));
  std::string below;
  for (const Result& result : results)
    below += (result.set.empty() ? "" : result.set + ": ") + describe(result.varied) + "\n";
  for (const auto& [language, trust] : trusts)
    below += (language.empty() ? "" : language + ": ") +
             describe(trust.measure, trust.confidence, trust.list) + "\n";
  print(score_table(rows) + below);
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
      o.ensemble.load(o.checkpoint, o.weights, o.behaviours.search, "eval", ModelUse::parameters, o.device));
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
  for (size_t i = 0; i < chosen.size(); ++i) {
    score_options.split = chosen[i].label;
    const ScoreOptions own = o.words.with_own(datasets[i].language.rules, score_options);
    Result& result = results.emplace_back(
        Result{chosen[i].set,
               chosen[i].language,
               evaluate(captioner.decoder(), datasets[i], features, vocabulary, search, own, rules[i]),
               {}});
    const Scores& scores = result.evaluation.scores;
    result.varied = diversity(result.evaluation.captions, scores.tokenizer, training ? &*training : nullptr,
                              scores.normalisation);
  }
  Trusts trusts;
  try {
    trusts = trusts_of(captioner, datasets, features, results, o);
  } catch (const tensor::Error&) {  // captions took minutes
    tell_scores(captioner, o, results, {});
    throw;
  }
  tell_scores(captioner, o, results, trusts);
}

}  // namespace

void add_eval(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "eval", "Caption the photos of a list and score the captions");
  const auto o = std::make_shared<Options>();
  verb.option("--checkpoint", o->checkpoint, "A checkpoint, or attention or plain: the models in the box")
      .required();
  o->ensemble.add_option(verb);
  verb.option("--weights", o->weights, "The encoder's weights (default: the encoder in the box)");
  add_device_option(verb, o->device);
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
      "the photos, by their names; the other half shows how well it holds");
  verb.option("--out", o->out, "File for scores and captions (JSON)");
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o, verb] { run(*o, verb.given("--precision")); });
}

}  // namespace imgcap::cli
