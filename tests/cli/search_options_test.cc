// Every option of eval, caption and report, at a value that is not its default: what the program says is what
// the library gives for these values, and something else for each option's default.
#include <doctest/doctest.h>

#include <functional>

#include "imgcap/decoding/sampling.h"
#include "imgcap/metrics/diversity.h"
#include "imgcap/report/html.h"
#include "tensor/format.h"
#include "tests/cli/given.h"
#include "tests/cli/refused.h"
#include "tests/cli/search_scene.h"

using namespace tests;
using tensor::io::Json;

namespace {

// rule_options_test.cc
const std::vector<std::string> kRuleOptions = {"--no-repeat-ngram", "--min-words", "--suppress", "--prefix"};

}  // namespace

TEST_CASE("eval: every option counts") {
  const Scene scene;
  Given given({"eval"});
  given.elsewhere(kRuleOptions);
  const auto eval = [&](const std::string& checkpoint, std::vector<std::string> more) {
    const std::vector<std::string> own = {
        "--checkpoint", checkpoint, "--weights", scene.weights, "--images",   scene.photos,  "--captions",
        scene.captions, scene.more, "--list",    scene.list,    "--features", scene.features};
    more.insert(more.begin(), own.begin(), own.end());
    const Result result = run(given(more));
    CAPTURE(result.err);
    CHECK(result.code == 0);
    return result.out;
  };
  const std::string out = scene.folder / "results.json";
  const Json printed = read_json(eval(
      scene.plain, {"--beam", "4", "--max-words", "5", "--length-exponent", "2", "--out", out, "--json"}));

  const Model model(scene.plain);
  const FeatureCache features = FeatureCache::open(scene.features);
  CHECK(features.key() == feature_key(scene.encoder(scene.weights), {}));
  const Dataset data = make_dataset({scene.references}, scene.names, features, model.vocabulary);
  ScoreOptions score_options;
  score_options.split = "list.txt";
  const auto with = [&](const SearchOptions& search) {
    return evaluate(*model.decoder, data, features, model.vocabulary, search, score_options);
  };
  const Evaluation expected = with(search_options(4, 5, 2));
  Json scores = to_json(expected.scores);
  add_diversity(scores, diversity(expected.captions, expected.scores.tokenizer));
  CHECK(printed == read_json(scores.dump()));
  const Json written = read_json(tests::read_text(out));
  CHECK(written.at("scores") == printed);
  CHECK(written.at("beam") == 4);
  std::map<std::string, std::string> captions;
  for (const Json& line : written.at("captions").items())
    captions[line.at("image_id").as_text()] = line.at("caption").as_text();
  CHECK(captions == expected.captions);
  // Else the above says nothing.
  CHECK(with(search_options(5, 5, 2)).captions != expected.captions);
  CHECK(with(search_options(4, 30, 2)).captions != expected.captions);
  CHECK(with(search_options(4, 5, 1)).captions != expected.captions);

  // For people: a table with the model's kind, its epoch and the beam's width.
  score_options.protocol = Protocol::torcheval;
  SearchOptions hundred_steps = search_options(3, 30, 1);
  hundred_steps.kind = SearchKind::hundred_steps;
  const Evaluation original = with(hundred_steps);
  const ScoreRow row{"plain", 3, 3, original.scores};
  const std::string said =
      score_table({&row, 1}) + describe(diversity(original.captions, original.scores.tokenizer)) + "\n";
  CHECK(eval(scene.plain, {"--beam", "3", "--protocol", "original"}) == said);
  CHECK(eval(scene.plain, {"--beam", "3", "--compat", "original"}) == said);
  given.elsewhere({"--training", "--training-list"});  // score_diversity_test.cc
  given.elsewhere({"--split"});                        // caption_files_test.cc
  given.elsewhere({"--ensemble"});                     // ensemble_test.cc
  given.elsewhere({"--fit-confidence"});               // confidence_test.cc
  given.elsewhere({"--precision"});                    // encoder_precision_test.cc
  given.elsewhere({"--device"});                       // caption_device_test.cc
  given.elsewhere({"--lang"});                         // languages_test.cc
  given.elsewhere({"--tokenizer"});                    // text_options_test.cc
  given.elsewhere(kNormalisations);
  CHECK(given.left() == "");
}

TEST_CASE("caption: every option counts") {
  const Scene scene;
  Given given({"caption"});
  given.elsewhere(kRuleOptions);
  given.elsewhere({"--explain"});  // explain_test.cc
  const auto lines = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--json", scene.photos + "/" + kBear, scene.photos + "/" + kSkier});
    const Result result = run(given(more));
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return tests::json_lines(result.out);
  };
  const Model model(scene.plain);
  const LoadedEncoder encoder = scene.encoder(scene.weights);
  const std::vector<Image> photos = {scene.photo(kBear), scene.photo(kSkier)};
  std::vector<Tensor> features;
  for (const Image& photo : photos) features.push_back(encode_images(encoder, {photo}));
  const std::vector<std::string> own = {"--model", scene.plain, "--weights", scene.weights};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), own.begin(), own.end());
    return lines(more);
  };

  const auto found = with({"--beam", "4", "--nbest", "3", "--max-words", "5", "--length-exponent", "2"});
  REQUIRE(found.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    const auto searched = [&](const BeamOptions& options) {
      return captions_of(beam_search(*model.decoder, features[i], options).front(), model);
    };
    CHECK(found[i].at("image") == scene.photos + "/" + (i == 0 ? kBear : kSkier));
    const Captions expected = searched(beam_options(4, 3, 5, 2));
    CHECK(captions_of(found[i]) == expected);
    CHECK(searched(beam_options(5, 3, 5, 2)) != expected);
    CHECK(searched(beam_options(4, 3, 30, 2)) != expected);
    CHECK(searched(beam_options(4, 3, 5, 1)) != expected);
  }
  // Where the other model looked: a tile a word that is no blank, five a row, 232 pixels apart.
  const Model attention(scene.model);
  const std::string sheet = scene.folder / "sheet.png";
  const auto drawn_line =
      lines({"--model", scene.model, "--weights", scene.weights, "--attention", sheet}).at(0);
  const Hypothesis best =
      beam_search(*attention.decoder, features[0], beam_options(5, 1, 30, 1)).front().front();
  CHECK(drawn_line.at("caption") == attention.text(best));
  const auto tiles = std::count_if(best.words.begin(), best.words.end(), [&](int64_t word) {
    return !attention.vocabulary.decode(std::vector<int32_t>{static_cast<int32_t>(word)}).empty();
  });
  CHECK(read_image(sheet).width == 8 + 232 * std::clamp<int64_t>(tiles, 1, 5));

  // Drawn with one generator, photo after photo.
  const auto drawn = [&](SamplingOptions options, uint64_t seed) {
    tensor::Generator generator(seed);
    std::vector<Captions> all;
    for (const Tensor& each : features)
      all.push_back(captions_of(sample(*model.decoder, each, options, generator).front(), model));
    return all;
  };
  SamplingOptions options;
  options.max_words = 6;
  options.temperature = 1.5;
  options.top_k = 5;
  options.top_p = 0.8;
  options.samples = 4;
  const auto expected = drawn(options, 7);
  const auto sampled = with({"--sample", "--temperature", "1.5", "--top-k", "5", "--top-p", "0.8",
                             "--max-words", "6", "--nbest", "4", "--seed", "7"});
  REQUIRE(sampled.size() == 2);
  for (size_t i = 0; i < 2; ++i) CHECK(captions_of(sampled[i]) == expected[i]);
  CHECK(drawn(options, 1) != expected);
  for (auto change : std::vector<std::function<void(SamplingOptions&)>>{
           [](auto& o) { o.max_words = 30; }, [](auto& o) { o.temperature = 1; },
           [](auto& o) { o.top_k = 0; }, [](auto& o) { o.top_p = 1; }}) {
    SamplingOptions other = options;
    change(other);
    CHECK(drawn(other, 7) != expected);
  }

  // As the original's page: its search and strings, and red for blue.
  BeamOptions original = beam_options(5, 1, 30, 1);
  const auto compat = with({"--compat", "original"});
  for (size_t i = 0; i < 2; ++i) {
    Image swapped = photos[i];
    for (size_t k = 0; k < swapped.pixels.size(); k += 3) std::swap(swapped.pixels[k], swapped.pixels[k + 2]);
    const Hypothesis h =
        hundred_steps_search(*model.decoder, encode_images(encoder, {swapped}), original).front().front();
    CHECK(compat.at(i).at("caption") ==
          model.vocabulary.decode_tokens(std::vector<int32_t>(h.ids.begin(), h.ids.end())));
    CHECK(compat[i].at("log_probability") == h.log_probability);
    CHECK(h.log_probability !=
          hundred_steps_search(*model.decoder, features[i], original).front().front().log_probability);
  }
  given.elsewhere({"--lang"});      // languages_test.cc
  given.elsewhere({"--format"});    // caption_files_test.cc
  given.elsewhere({"--ensemble"});  // ensemble_test.cc
  given.elsewhere({"--doubt"});     // confidence_test.cc
  given.elsewhere({"--device"});    // caption_device_test.cc
  CHECK(given.left() == "");
}

TEST_CASE("caption for people: a line per photo, further captions below it, and a sheet for each photo") {
  const Scene scene;
  const std::string bear = scene.photos + "/" + kBear, sheet = scene.folder / "s.png";
  const Result result =
      run({"caption", "--model", scene.model, "--nbest", "3", "--attention", sheet, bear, bear, bear});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const Model model(scene.model);
  const auto found =
      beam_search(*model.decoder,
                  encode_images(scene.encoder(tests::encoder_in_the_box()), {scene.photo(kBear)}),
                  beam_options(5, 3, 30, 1))
          .front();
  REQUIRE(found.size() == 3);
  const std::string first = bear + ": " + model.text(found[0]) + " (",
                    rest = " ms)\n  " + model.text(found[1]) + "\n  " + model.text(found[2]) + "\n";
  CHECK(result.out.starts_with(first));
  CHECK(tests::count(result.out, first) == 3);
  CHECK(tests::count(result.out, rest) == 3);
  for (const char* name : {"s.png", "s_coco_000000000285.png", "s_coco_000000000285_2.png"})
    CHECK(std::filesystem::exists(scene.folder / name));
  const Result plain = run({"caption", "--model", scene.plain, "--attention", sheet, bear});
  tests::check_refused(plain, "caption: --attention: the model " + scene.plain + " has no attention");
  CHECK(plain.out.empty());
}

TEST_CASE("report: models are called by their files' names, or by their paths where these are the same") {
  const Scene scene;
  tests::write_text(scene.list, kSkier + "\nnowhere.jpg\n");
  const auto names = [&](const std::vector<std::string>& models) {
    std::vector<std::string> command = {"report",
                                        "--images",
                                        scene.photos,
                                        "--captions",
                                        scene.captions,
                                        "--list",
                                        scene.list,
                                        "--photos",
                                        "0",
                                        "--features",
                                        scene.features,
                                        "--out",
                                        scene.folder / "page.html",
                                        "--max-words",
                                        "2"};
    for (const std::string& model : models) command.insert(command.end(), {"--model", model});
    const Result result = run(command);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    CHECK(tests::count(result.err, "1 photos are missing") == 1);  // models of one encoder share its features
    return all_between(tests::read_text(scene.folder / "page.html"), "<th scope=\"row\">", "</th>");
  };
  const auto copy = [&](const std::string& to) {
    std::filesystem::create_directories(std::filesystem::path(scene.folder / to).parent_path());
    std::filesystem::copy_file(scene.model, scene.folder / to);
    return scene.folder / to;
  };
  const std::string a = copy("x/a/best.safetensors"), b = copy("x/b/best.safetensors"),
                    c = copy("y/a/best.safetensors");
  CHECK(names({a, b}) == std::vector<std::string>{"a/best", "b/best"});
  CHECK(names({a, c}) == std::vector<std::string>{a, c});
  std::filesystem::remove(scene.features);     // the box's models see larger photos
  CHECK(names({"plain"}).front() == "plain");  // then its confidence, which the others lack
}

TEST_CASE("report: every option counts") {
  const Scene scene;
  Given given({"report"});
  given.elsewhere(kRuleOptions);
  given.elsewhere({"--lang"});  // languages_test.cc
  tests::write_text(scene.folder / "log.jsonl", "{\"step\":1234,\"loss\":5.5}\n");
  const std::string page_file = scene.folder / "page.html";
  const Result result = run(given({"--model",
                                   scene.model,
                                   "--model",
                                   scene.plain,
                                   "--images",
                                   scene.photos,
                                   "--captions",
                                   scene.captions,
                                   scene.more,
                                   "--list",
                                   scene.list,
                                   "--log",
                                   scene.folder / "log.jsonl",
                                   "--weights",
                                   scene.weights,
                                   "--features",
                                   scene.features,
                                   "--beam",
                                   "4",
                                   "--max-words",
                                   "5",
                                   "--length-exponent",
                                   "2",
                                   "--photos",
                                   "1",
                                   "--title",
                                   "My page",
                                   "--out",
                                   page_file}));
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(has(result.out, page_file + ": 2 photos scored, 1 shown, "));
  const std::string page = tests::read_text(page_file);
  CHECK(has(page, "<h1>My page</h1>"));
  CHECK(has(page, "1 step and 0 validations, from " + (scene.folder / "log.jsonl")));
  CHECK(has(page, "Beam search of width 4, captions of at most 5 words, length exponent 2."));

  const FeatureCache features = FeatureCache::open(scene.features);
  CHECK(features.key() == feature_key(scene.encoder(scene.weights), {}));
  const auto rows = all_between(page, "<tr>", "</tr>"),
             shown = all_between(page, "<p class=\"caption\">", "</p>");
  REQUIRE(rows.size() == 3);
  REQUIRE(shown.size() == 2);
  for (const size_t m : {0, 1}) {
    CAPTURE(m);
    const Model model(m == 0 ? scene.model : scene.plain);
    const Dataset data = make_dataset({scene.references}, scene.names, features, model.vocabulary);
    const Scores scores =
        evaluate(*model.decoder, data, features, model.vocabulary, search_options(4, 5, 2), {}).scores;
    std::string cells;
    for (const double score :
         {scores.bleu[0], scores.bleu[1], scores.bleu[2], scores.bleu[3], scores.rouge_l, scores.cider})
      cells += tensor::format("{:.4f} ", score);
    std::string found;
    for (std::string cell : all_between(rows[m + 1], "<td>", "</td>")) {
      for (const std::string tag : {"<strong>", "</strong>"})
        if (const size_t at = cell.find(tag); at != std::string::npos) cell.erase(at, tag.size());
      found += cell + " ";
    }
    CHECK(found == cells);
    const Tensor skier = features.rows({*features.find(kSkier)});
    const auto line = [&](const BeamOptions& options) {
      const Hypothesis h = beam_search(*model.decoder, skier, options).front().front();
      return tensor::format(
          "/{}</b> <q dir=\"auto\">{}</q> <small>log-probability {:.2f}, ", m == 0 ? "small" : "plain",
          model.text(h).empty() ? "(no words)" : escape_html(model.text(h)), h.log_probability);
    };
    const std::string expected = line(beam_options(4, 1, 5, 2));
    CHECK(has(shown[m], expected));
    CHECK(has(rows[m + 1], m == 0 ? "/small</th>" : "/plain</th>"));
    if (m == 0) continue;
    CHECK(line(beam_options(5, 1, 5, 2)) != expected);
    CHECK(line(beam_options(4, 1, 30, 2)) != expected);
    CHECK(line(beam_options(4, 1, 5, 1)) != expected);
  }
  given.elsewhere({"--split"});   // caption_files_test.cc
  given.elsewhere({"--device"});  // caption_device_test.cc
  CHECK(given.left() == "");
}
