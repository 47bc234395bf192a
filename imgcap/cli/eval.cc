#include <memory>

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/cli/encoder_precision.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/rule_options.h"
#include "imgcap/cli/settings.h"
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
  std::string checkpoint, weights, features, out;
  std::vector<std::string> images, captions;
  PhotoChoice photos;
  TrainingCaptions training;
  int64_t beam = 5, max_words = 30;
  double length_exponent = 1;
  RuleOptions rules;
  Behaviours behaviours;
  Precision precision = Precision::f32;
  bool json = false;
};

void run(const Options& o, bool precision_given) {
  ScoreOptions score_options;
  score_options.protocol = o.behaviours.protocol;
  score_options.split = o.photos.label();
  if (!o.out.empty()) expect_writable(o.out);
  const Captioner captioner(load_model(o.checkpoint, o.weights, ModelUse::parameters));
  const EncodeOptions encoding = set_encoder_precision(captioner.encoder(), o.precision, precision_given);
  const Vocabulary& vocabulary = captioner.vocabulary();
  const CaptionRules rules = rules_of(o.rules, vocabulary, o.max_words, o.behaviours.search, "eval");
  PhotosBySplit splits;
  const auto captions = load_captions(o.captions, &splits);
  const std::vector<std::string> names = o.photos.names(splits);
  auto training = o.training.texts();
  const FeatureCache features = load_features(captioner.encoder(), o.images, names, o.features, encoding);
  const Dataset data = make_dataset(captions, names, features, vocabulary);
  report_without_captions(data);
  SearchOptions search;
  search.beam = o.beam;
  search.max_words = o.max_words;
  search.length_exponent = o.length_exponent;
  search.kind = o.behaviours.search;
  const auto [candidates, scores] =
      evaluate(captioner.decoder(), data, features, vocabulary, search, score_options, rules);
  if (training)
    for (std::string& text : *training) text = in_form(text, vocabulary, form_of(search.kind));
  const Diversity varied = diversity(candidates, scores.tokenizer, training ? &*training : nullptr);
  Json json = to_json(scores);
  add_diversity(json, varied);
  if (!o.out.empty()) {
    Json results = Json::object({{"scores", json}, {"beam", o.beam}});
    for (const auto& [name, text] : candidates)
      results["captions"].push_back(Json::object({{"image_id", name}, {"caption", text}}));
    tensor::io::write_file_atomically(o.out, results.dump(1) + "\n");
  }
  if (o.json) {
    print_line(json);
    return;
  }
  ScoreRow row{to_string(captioner.info().decoder.kind), {}, static_cast<int>(o.beam), scores};
  if (const auto epoch = captioner.info().notes.find("epoch"); epoch != captioner.info().notes.end())
    row.epoch = std::atoi(epoch->second.c_str());
  print(score_table({&row, 1}) + describe(varied) + "\n");
}

}  // namespace

void add_eval(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "eval", "Caption the photos of a list and score the captions");
  const auto o = std::make_shared<Options>();
  verb.option("--checkpoint", o->checkpoint, "A checkpoint, or attention or plain: the models in the box")
      .required();
  verb.option("--weights", o->weights, "The encoder's weights (default: the encoder in the box)");
  verb.option("--images", o->images, "Folders or .tar archives of photos").required();
  verb.option("--captions", o->captions, "Caption files: the references").required();
  o->photos.add_options(verb, "The photos");
  verb.option("--features", o->features, "Feature cache to use or to make");
  add_encoder_precision(verb, o->precision);
  add_search_settings(verb, kSearchSettings<Options>, *o, 100);
  add_rule_options(verb, o->rules);
  add_eval_behaviours(verb, o->behaviours);
  o->training.add_options(verb);
  verb.option("--out", o->out, "File for scores and captions (JSON)");
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o, verb] { run(*o, verb.given("--precision")); });
}

}  // namespace imgcap::cli
