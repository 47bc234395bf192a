#include <cmath>
#include <deque>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>

#include "imgcap/caption_json.h"
#include "imgcap/cli/attention_sheet.h"
#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/caption_results.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/cli/language_options.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/photos.h"
#include "imgcap/cli/rule_options.h"
#include "imgcap/cli/settings.h"
#include "imgcap/data/utf8.h"
#include "imgcap/decoding/search_settings.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

enum class Format { text, json, coco, csv };
constexpr size_t kShownChances = 5;
constexpr std::array<const char*, 4> names_of(Format) { return {"text", "json", "coco", "csv"}; }

struct Options {
  std::string model = "attention", weights, device = "cpu", attention, language, explain;
  EnsembleOption ensemble;
  std::vector<std::string> images;
  BeamOptions search;
  SamplingOptions sampling;
  RuleTexts rules;
  double doubt = 0;
  bool sample = false, json = false;
  Format format = Format::text;
  Behaviours behaviours;
};

Json json_of(const Photo& photo, const CaptionResult& result, double milliseconds, bool alternatives,
             const std::vector<std::string>& models) {
  const std::vector<PhotoCaption>& captions = result.captions;
  Json json = Json::object({{"image", photo.name}});
  if (models.size() > 1) json["models"] = models;
  if (!result.language.empty()) json["language"] = result.language;
  add_to(json, captions.front());
  json["milliseconds"] = std::round(10 * milliseconds) / 10;
  if (alternatives) json["alternatives"] = Json::array();
  for (size_t k = 1; k < captions.size(); ++k) {
    Json other;
    add_to(other, captions[k]);
    json["alternatives"].push_back(std::move(other));
  }
  return json;
}

// "1  word" for each word that is a number on the sheet.
std::vector<std::string> legend_lines(const std::vector<std::string>& legend) {
  std::vector<std::string> lines;
  for (const std::string& word : legend)
    lines.push_back(tensor::format("{}  {}", lines.size() + 1, printable(word)));
  return lines;
}

std::string text_of(const PhotoCaption& caption, double doubt) {
  const bool doubtful = caption.confidence && *caption.confidence < doubt;
  return caption.text + (doubtful ? tensor::format(" (not sure: {:.2f})", *caption.confidence) : "");
}

// `named`: each line says its language.
std::string text_lines(const Photo& photo, const CaptionResult& result, double milliseconds, double doubt,
                       bool named) {
  const std::vector<PhotoCaption>& captions = result.captions;
  std::string text = tensor::format("{}:{} {} ({:.0f} ms)\n", printable(photo.name),
                                    named ? " " + result.language + ":" : "",
                                    text_of(captions.front(), doubt), milliseconds);
  for (size_t k = 1; k < captions.size(); ++k) text += tensor::format("  {}\n", text_of(captions[k], doubt));
  return text;
}

// OUT.png for the first photo, OUT_PHOTO.png for each further one, with a number where two have one name. Of several
// languages each has its own, OUT_en.png.
std::string sheet_file(const std::string& file, const std::string& photo, const std::string& language,
                       std::set<std::string>& used) {
  const std::filesystem::path path(file);
  const std::string stem = (path.parent_path() / path.stem()).string() +
                           (language.empty() ? "" : "_" + language),
                    end = path.extension().string();
  const std::string named = stem + "_" + std::filesystem::path(photo).stem().string();
  std::string name = used.contains(stem + end) ? named + end : stem + end;
  for (int i = 2; !used.insert(name).second; ++i) name = tensor::format("{}_{}{}", named, i, end);
  return name;
}

// One request a language, all of one photo; each draws from its own generator, which has to live as long.
std::vector<CaptionRequest> requests_of(const Options& o, const Captioner& captioner,
                                        const std::vector<std::string>& languages, uint64_t seed,
                                        std::deque<tensor::Generator>& generators) {
  std::vector<CaptionRequest> requests;
  for (const std::string& language : languages) {
    BeamOptions search = o.search;
    search.attention = !o.attention.empty();
    search.kind = o.behaviours.search;
    search.rules =
        rules_of(o.rules, captioner.vocabulary(), language, search.max_words, search.kind, "caption");
    CaptionRequest& request = requests.emplace_back();
    request.search = search;
    request.language = language;
    request.swap_red_and_blue = o.behaviours.swap_red_and_blue;
    request.generator = &generators.emplace_back(seed);
    if (!o.sample) continue;
    SamplingOptions sampling = o.sampling;
    static_cast<DecodingOptions&>(sampling) = search;
    sampling.samples = search.nbest;
    request.search = sampling;
  }
  return requests;
}

void expect_fitting(const Options& o) {
  using tensor::ErrorKind;
  const bool results = o.format == Format::coco || o.format == Format::csv;
  tensor::check(!results || o.search.nbest == 1, ErrorKind::argument,
                "caption: --format {} has one caption for each photo; leave out --nbest",
                to_string(o.format));
  tensor::check(!results || o.language != "all", ErrorKind::argument,
                "caption: --format {} has one caption for each photo; ask for one language by --lang",
                to_string(o.format));
  tensor::check(o.sample || o.search.nbest <= o.search.beam, ErrorKind::argument,
                "caption: --nbest {} is over --beam {}", o.search.nbest, o.search.beam);
  if (o.sample) expect_draws_words(o.behaviours.search, "caption");
}

// For --doubt.
void expect_confidence(const Captioner& captioner, const std::vector<std::string>& languages) {
  for (const std::string& language : languages)
    tensor::check(
        captioner.info().confidence.contains(language), tensor::ErrorKind::argument,
        "caption: --doubt: {} has no confidence{}{}", tensor::join(captioner.models(), " + "),
        language.empty() ? "" : " in " + language,
        captioner.models().size() > 1 ? "; it is one model's" : "; imgcap eval --fit-confidence fits it");
}

// The likeliest in a word's place, but for the word: "two 0.018, three 0.000, the end 0.000".
std::string chances_line(const std::vector<WordProbability>& chances, const std::string& word) {
  std::vector<std::string> parts;
  for (const WordProbability& each : chances)
    if (each.word != word || word.empty())
      parts.push_back(
          tensor::format("{} {:.3f}", each.word.empty() ? "(end)" : printable(each.word), each.probability));
  if (parts.size() > kShownChances) parts.resize(kShownChances);
  return tensor::join(parts, ", ");
}

std::string text_lines(const Photo& photo, const Explanation& explanation) {
  std::string text = tensor::format("{}: {} (log-probability {:.2f})\n", printable(photo.name),
                                    explanation.text, explanation.log_probability);
  size_t longest = 0;
  const auto width = [](const std::string& word) { return decode_utf8(word).size(); };
  for (const ExplainedWord& word : explanation.words) longest = std::max(longest, width(word.word));
  for (const ExplainedWord& word : explanation.words)
    text += tensor::format("  {}{} {:.3f}  {}\n", word.word, std::string(longest - width(word.word), ' '),
                           word.probability, chances_line(word.others, word.word));
  return text + tensor::format("  then: {}\n", chances_line(explanation.next, ""));
}

// --explain: the model's view of a sentence in place of its captions.
void explain(const Options& o, Program& program) {
  const tensor::Device device = choose_device_for({o.model}, o.device);
  const auto captioner =
      std::make_shared<const Captioner>(load_model(o.model, o.weights, ModelUse::captions, device));
  const auto explainer = load_explainer(captioner, o.model);
  const std::string language =
      language_of(o.language, captioner->vocabulary(), captioner->default_language(), "caption");
  const bool json = o.json || o.format == Format::json;
  tensor::check(json || o.format == Format::text, tensor::ErrorKind::argument,
                "caption: --explain has no --format {}", to_string(o.format));
  for_each_photo(o.images, json, program, [&](const Photo& photo) {
    const Explanation explanation = explainer->explain(photo.image, o.explain, language);
    if (!json) return print(text_lines(photo, explanation));
    Json line = Json::object({{"image", photo.name}});
    add_to(line, explanation);
    print_line(line);
  });
}

void run(const Options& o, bool doubts, Program& program) {
  using tensor::ErrorKind;
  const bool json = o.json || o.format == Format::json;
  const bool results = o.format == Format::coco || o.format == Format::csv;
  expect_fitting(o);
  tensor::check(!doubts || (!json && !results && o.behaviours.search == SearchKind::standard),
                ErrorKind::argument, "caption: --doubt is for text, and the standard search");
  const Captioner captioner(
      o.ensemble.load(o.model, o.weights, o.behaviours.search, "caption", ModelUse::captions, o.device));
  const std::vector<std::string> languages =
      languages_of(o.language, captioner.vocabulary(), captioner.default_language(), "caption");
  expect_knows_languages(o.behaviours.search, captioner.vocabulary(), "caption");
  if (doubts) expect_confidence(captioner, languages);
  std::deque<tensor::Generator> generators;
  std::vector<CaptionRequest> requests = requests_of(o, captioner, languages, program.seed, generators);
  tensor::check(o.attention.empty() || captioner.decoder().config().kind == DecoderKind::attention,
                ErrorKind::argument, "caption: --attention: the model {} has no attention",
                tensor::join(captioner.models(), " + "));
  if (!o.attention.empty()) expect_writable(o.attention);
  std::set<std::string> sheets;
  CaptionResults list(o.format == Format::coco ? CaptionResults::Format::coco : CaptionResults::Format::csv);
  const bool several = languages.size() > 1;
  const auto caption = [&](const Photo& photo) {
    for (CaptionRequest& request : requests) request.image = &photo.image;
    const std::vector<CaptionResult> found = captioner.caption(requests);
    const double milliseconds = milliseconds_since(photo.start);
    for (const CaptionResult& result : found) {
      const PhotoCaption& best = result.captions.front();
      std::vector<std::string> legend;
      if (!o.attention.empty()) {
        const AttentionMaps& maps = best.attention;
        AttentionSheet sheet = attention_sheet(photo.image, maps.words, maps.maps, maps.rows, maps.columns);
        write_png(sheet_file(o.attention, photo.name, several ? result.language : "", sheets), sheet.picture);
        legend = std::move(sheet.legend);
      }
      if (results) {
        list.add(photo.name, best.text);
        say(legend_lines(legend));  // stdout is the list's
      } else if (json) {
        Json line = json_of(photo, result, milliseconds, o.search.nbest > 1, captioner.models());
        if (!legend.empty()) line["legend"] = legend;
        print_line(line);
      } else {
        print(text_lines(photo, result, milliseconds, o.doubt, several));
        for (const std::string& line : legend_lines(legend)) print("  " + line + "\n");
      }
    }
  };
  try {
    for_each_photo(o.images, json, program, caption);
  } catch (...) {  // Ctrl-C, a full disk: the list is closed all the same
    if (results) list.finish();
    throw;
  }
  if (results) list.finish();
}

}  // namespace

void add_caption(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "caption", "Caption photos");
  const auto o = std::make_shared<Options>();
  verb.option("images", o->images, "Photos, folders or .tar archives").required();
  verb.option("--model", o->model, "A checkpoint, or attention or plain: the models in the box");
  o->ensemble.add_option(verb);
  verb.option("--weights", o->weights, "The encoder's weights (default: the encoder in the box)");
  add_device_option(verb, o->device);
  add_search_settings(verb, kSettings<BeamOptions>, o->search, 1000);
  verb.at("--nbest").range(1, 1000);
  verb.option(
      "--lang", o->language,
      "The captions' language, as en or ar, or all of the model's (default: the model's own, see imgcap info)");
  add_rule_options(verb, o->rules);
  const Option sample =
      verb.flag("--sample", o->sample, "Draw the words in place of a beam search (see --seed)")
          .excludes(verb.at("--beam"));
  verb.option("--temperature", o->sampling.temperature, "Words are drawn from softmax(logits / temperature)")
      .positive()
      .needs(sample);
  verb.option("--top-k", o->sampling.top_k, "Of the k likeliest words only (0: all)")
      .not_negative()
      .needs(sample);
  verb.option("--top-p", o->sampling.top_p, "Of the fewest words that have this probability together")
      .range(0.0, 1.0)
      .needs(sample);
  verb.option("--attention", o->attention,
              "A PNG of where the model looked for each word; of further photos: OUT_PHOTO.png");
  verb.option("--doubt", o->doubt, "The text says of captions whose confidence is below that it is not sure")
      .range(0.0, 1.0);
  add_caption_behaviours(verb, o->behaviours);
  const Option format =
      add_choice(verb, "--format", o->format,
                 "text; json: a line per photo; coco: COCO's results; csv: as Flickr30k's results.csv");
  verb.flag("--json", o->json, "The same as --format json").excludes(format);
  verb.option(
          "--explain", o->explain,
          "A sentence: how likely its words are to the model, what else is, and, in JSON, which places they came "
          "from")
      .excludes(verb.at("--beam"))
      .excludes(verb.at("--nbest"))
      .excludes(verb.at("--suppress"))
      .excludes(verb.at("--min-words"))
      .excludes(verb.at("--no-repeat-ngram"))
      .excludes(verb.at("--ensemble"))
      .excludes(sample)
      .excludes(verb.at("--attention"))
      .excludes(verb.at("--doubt"))
      .excludes(verb.at("--prefix"))
      .excludes(verb.at("--compat"));
  verb.on_run([o, verb, &program] {
    if (verb.given("--explain"))
      explain(*o, program);
    else
      run(*o, verb.given("--doubt"), program);
  });
}

}  // namespace imgcap::cli
