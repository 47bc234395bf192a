// What captions may say, as options of caption, eval and report: what the program says is what the library
// gives with these rules, and something else without each of them.
#include <doctest/doctest.h>

#include <functional>
#include <sstream>

#include "imgcap/decoding/sampling.h"
#include "imgcap/report/html.h"
#include "tensor/format.h"
#include "tests/cli/refused.h"
#include "tests/cli/search_scene.h"

using namespace tests;
using tensor::io::Json;

namespace {

using Arguments = std::vector<std::string>;

const Arguments kRules = {"--no-repeat-ngram", "2",          "--min-words", "4",        "--suppress",
                          "<script>",          "--suppress", "plane Bear",  "--prefix", "A"};

// The same for the small models: <sos> and the like, "  ", a, bear, plane, ".", <script>.
CaptionRules rules_for(const Vocabulary& vocabulary) {
  CaptionRules rules;
  rules.no_repeat_ngram = 2;
  rules.min_words = 4;
  rules.suppressed = {"<script>", "plane", "bear"};
  rules.prefix = {5};
  rules.tokens = vocabulary.tokens();
  return rules;
}

// Each without one of the rules.
std::vector<CaptionRules> without_one(const CaptionRules& all) {
  std::vector<CaptionRules> others(6, all);
  others[0].no_repeat_ngram = 0;
  others[1].min_words = 0;
  others[2].prefix.clear();
  for (size_t i = 3; i < 6; ++i)
    others[i].suppressed.erase(others[i].suppressed.begin() + static_cast<std::ptrdiff_t>(i - 3));
  return others;
}

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Arguments listed(const Scene& scene, const std::string& verb, const std::string& model) {
  return {verb,           verb == "eval" ? "--checkpoint" : "--model",
          model,          "--images",
          scene.photos,   "--captions",
          scene.captions, scene.more,
          "--list",       scene.list,
          "--features",   scene.features};
}

}  // namespace

TEST_CASE("caption keeps rules, in a search and in drawing words") {
  const Scene scene;
  const Model model(scene.plain);
  const Arguments photos = {scene.photos + "/" + kBear, scene.photos + "/" + kSkier};
  std::vector<Tensor> features;
  for (const std::string& name : {kBear, kSkier})
    features.push_back(encode_images(scene.encoder(encoder_in_the_box()), {scene.photo(name)}));
  const auto lines = [&](const Arguments& more) {
    const Result result = run(Arguments{"caption", "--model", scene.plain, "--json"} + more + photos);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    CHECK(result.err == "");
    std::vector<Captions> all;
    for (const Json& line : json_lines(result.out)) all.push_back(captions_of(line));
    return all;
  };
  const auto searched = [&](const CaptionRules& rules) {
    BeamOptions options = beam_options(6, 4, 8, 1);
    options.rules = rules;
    std::vector<Captions> all;
    for (const Tensor& each : features)
      all.push_back(captions_of(beam_search(*model.decoder, each, options).front(), model));
    return all;
  };
  const auto drawn = [&](const CaptionRules& rules) {
    SamplingOptions options;
    options.max_words = 8;
    options.samples = 9;
    options.rules = rules;
    tensor::Generator generator(1);
    std::vector<Captions> all;
    for (const Tensor& each : features)
      all.push_back(captions_of(sample(*model.decoder, each, options, generator).front(), model));
    return all;
  };
  const CaptionRules rules = rules_for(model.vocabulary);
  const Arguments length = {"--max-words", "8"};
  CHECK(lines(length + Arguments{"--beam", "6", "--nbest", "4"} + kRules) == searched(rules));
  const auto sampled = lines(length + Arguments{"--sample", "--nbest", "9"} + kRules);
  CHECK(sampled == drawn(rules));
  CHECK(searched({}) != searched(rules));
  for (const CaptionRules& other : without_one(rules)) CHECK(drawn(other) != sampled);
  for (const Captions& captions : sampled)
    for (const auto& [text, log_probability] : captions) {
      CHECK(text.starts_with("a"));
      for (const char* word : {"bear", "plane", "script", "a a a", ". . ."}) CHECK_FALSE(has(text, word));
    }
  // A photo behind a word to suppress is a photo; no word at all is no prefix.
  CHECK(lines({"--prefix", " ", "--suppress", "plane"}) == lines({"--suppress", "plane"}));
  write_text(scene.folder / "rules.toml", "suppress = [\"plane\", \"bear\"]\nno-repeat-ngram = 2\n");
  CHECK(lines({"--config", scene.folder / "rules.toml"}) ==
        lines({"--suppress", "plane bear", "--no-repeat-ngram", "2"}));
  CHECK(lines({"--config", scene.folder / "rules.toml"}) != lines({}));
}

TEST_CASE("eval and report keep the rules, and the report says them") {
  const Scene scene;
  const Model model(scene.plain);
  const Arguments search = {"--beam", "4", "--max-words", "8"};
  const std::string out = scene.folder / "results.json", page_file = scene.folder / "page.html";
  const Result result = run(listed(scene, "eval", scene.plain) + search + kRules + Arguments{"--out", out});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  std::map<std::string, std::string> captions;
  const Json results = read_json(read_text(out));
  for (const Json& line : results.at("captions").items())
    captions[line.at("image_id").as_text()] = line.at("caption").as_text();

  const FeatureCache features = FeatureCache::open(scene.features);
  const Dataset data = make_dataset({scene.references}, scene.names, features, model.vocabulary);
  const SearchOptions options = search_options(4, 8, 1);
  const CaptionRules rules = rules_for(model.vocabulary);
  const auto found = [&](const CaptionRules& given) {
    return caption_photos(*model.decoder, data, features, model.vocabulary, options, given);
  };
  CHECK(captions.size() == 2);
  CHECK(captions == found(rules));
  CHECK(captions != found({}));

  const Result report = run(listed(scene, "report", scene.plain) + search + kRules +
                            Arguments{"--out", page_file, "--photos", "2"});
  CAPTURE(report.err);
  REQUIRE(report.code == 0);
  const std::string page = read_text(page_file);
  CHECK(has(page,
            "length exponent 1. Captions keep rules: no n-gram of 2 twice, at least 4 words, never "
            "&quot;&lt;script&gt; plane Bear&quot;, each begins with &quot;A&quot;.</p>"));
  for (const auto& [name, text] : captions) CHECK(has(page, "<q dir=\"auto\">" + escape_html(text) + "</q>"));
  const Scores scores = evaluate(*model.decoder, data, features, model.vocabulary, options, {}, rules).scores;
  CHECK(has(page, tensor::format("{:.4f}", scores.bleu[0])));
}

TEST_CASE("rules that a model cannot keep are refused before any work, in a sentence") {
  const Scene scene;
  const Arguments caption = {"caption", "--model", scene.plain, scene.photos + "/" + kBear};
  const auto refused = [&](const Arguments& rules, const std::string& why) {
    for (const std::string verb : {"caption", "eval", "report"}) {
      const Arguments out = verb == "report" ? Arguments{"--out", scene.folder / "page.html"} : Arguments();
      const Result result =
          run((verb == "caption" ? caption : listed(scene, verb, scene.plain) + out) + rules);
      check_refused(result, verb + ": " + why);
      CHECK(count(result.err, "imgcap: " + verb) == 1);
      CHECK(result.out == "");
    }
    CHECK_FALSE(std::filesystem::exists(scene.features));
  };
  refused({"--prefix", "a zebra"},
          "--prefix: the model's vocabulary has no word \"zebra\" and cannot spell it, so no caption begins");
  refused({"--suppress", "bear t-shirt"}, "--suppress: \"t-shirt\" is 3 words to the model (t, -, shirt)");
  refused({"--suppress", ""}, "--suppress: there is no word in \"\"");
  refused({"--min-words", "7", "--max-words", "6"}, "at least 7 words are asked for and at most 6");
  refused({"--prefix", "a bear a", "--max-words", "2"}, "the prefix has 3 tokens; a caption has at most 2");
  refused({"--prefix", "a bear", "--suppress", "bear"}, "the prefix has a word that no caption may have");
  refused({"--prefix", "a a", "--no-repeat-ngram", "1"}, "the prefix has an n-gram of 1 twice");

  const std::string original = ": the original's search has no --no-repeat-ngram, --min-words, --suppress or";
  for (const Arguments& rule : std::vector<Arguments>{
           {"--no-repeat-ngram", "3"}, {"--min-words", "1"}, {"--suppress", "a"}, {"--prefix", "a"}}) {
    check_refused(run(caption + Arguments{"--compat", "original"} + rule), "caption" + original);
    for (const char* mode : {"--compat", "--protocol"})
      check_refused(run(listed(scene, "eval", scene.plain) + Arguments{mode, "original"} + rule),
                    "eval" + original);
  }
  for (const char* option : {"--no-repeat-ngram", "--min-words"})
    for (const char* value : {"-1", "1001", "two"}) CHECK(run(caption + Arguments{option, value}).code == 2);
}

TEST_CASE("a suppressed word that the vocabulary lacks is told once, and nothing else changes") {
  const Scene scene;
  const Arguments caption = {
      "caption", "--model", scene.plain, "--json", scene.photos + "/" + kBear, scene.photos + "/" + kSkier};
  const auto captions = [](const Result& result) {
    REQUIRE(result.code == 0);
    std::vector<Captions> all;
    for (const Json& line : json_lines(result.out)) all.push_back(captions_of(line));
    return all;
  };
  const Result result = run(caption + Arguments{"--suppress", "Zebra"});
  CHECK(result.err == "imgcap: --suppress: the model's vocabulary has no word \"zebra\"\n");
  CHECK(captions(result) == captions(run(caption)));
}
