// caption and eval with several models at once.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "imgcap/models/ensemble.h"
#include "tensor/format.h"
#include "tests/cli/refused.h"
#include "tests/cli/search_scene.h"

using namespace tests;
using tensor::io::Json;

namespace {

Ensemble ensemble_of(const std::vector<std::string>& files) {
  std::vector<std::unique_ptr<Decoder>> members;
  for (const std::string& file : files) members.push_back(Model(file).decoder);
  return Ensemble(std::move(members));
}

void change(const std::string& file, const std::string& to, const std::function<void(Checkpoint&)>& f) {
  Checkpoint checkpoint = load_checkpoint(file);
  f(checkpoint);
  save_checkpoint(to, checkpoint);
}

Result caption(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "caption");
  arguments.push_back(assets() + "/photos/" + kBear);
  return run(arguments);
}

}  // namespace

TEST_CASE("caption --ensemble: the models' mean, in every form of output") {
  const Scene scene;
  const std::string sheet = scene.folder / "sheet.png";
  const Result result = caption({"--model", scene.plain, "--ensemble", scene.model, "--weights",
                                 scene.weights, "--nbest", "2", "--json", "--attention", sheet});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const Model one(scene.plain);
  Ensemble ensemble = ensemble_of({scene.plain, scene.model});
  const Tensor features = encode_images(scene.encoder(scene.weights), {scene.photo(kBear)});
  const auto expected = beam_search(ensemble, features, beam_options(5, 2, 30, 1)).front();
  const Json line = read_json(result.out);
  CHECK(line.at("models") == Json(std::vector<std::string>{scene.plain, scene.model}));
  const Captions found = captions_of(line);
  REQUIRE(found.size() == 2);
  for (size_t k = 0; k < 2; ++k) {
    CHECK(found[k].first == one.text(expected[k]));
    // the program's members are frozen: their sums are in another order
    CHECK(found[k].second == doctest::Approx(expected[k].log_probability).epsilon(1e-4));
  }
  CHECK(std::filesystem::exists(sheet));
  for (const std::string& alone : {scene.plain, scene.model}) {
    const Model model(alone);
    const auto other = beam_search(*model.decoder, features, beam_options(5, 2, 30, 1)).front().front();
    CHECK(std::fabs(other.log_probability - expected[0].log_probability) > 0.01);
  }
  // For people; and drawn words, with one seed.
  const Result text =
      caption({"--model", scene.plain, "--ensemble", scene.model, "--weights", scene.weights});
  CHECK(has(text.out, kBear + ": " + one.text(expected[0]) + " ("));
  const std::vector<std::string> drawn = {"--model",   scene.plain, "--ensemble", scene.model,
                                          scene.plain, "--sample",  "--json"};
  const Json first = read_json(caption(drawn).out), second = read_json(caption(drawn).out);
  CHECK(first.at("models").size() == 3);
  CHECK(first.at("log_probability") == second.at("log_probability"));
}

TEST_CASE("eval --ensemble: the models' captions are scored, and both are named") {
  const Scene scene;
  const std::string out = scene.folder / "results.json";
  const auto eval = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"eval",         "--checkpoint", scene.plain,  "--ensemble",
                                    scene.model,    "--images",     scene.photos, "--captions",
                                    scene.captions, scene.more,     "--list",     scene.list,
                                    "--weights",    scene.weights,  "--out",      out};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  const std::string table = eval({"--features", scene.features});
  const Model one(scene.plain);
  Ensemble ensemble = ensemble_of({scene.plain, scene.model});
  const FeatureCache features = FeatureCache::open(scene.features);
  const Dataset data = make_dataset({scene.references}, scene.names, features, one.vocabulary);
  const Evaluation expected =
      evaluate(ensemble, data, features, one.vocabulary, search_options(5, 30, 1), {});
  std::map<std::string, std::string> captions;
  const Json written = read_json(read_text(out));
  for (const Json& line : written.at("captions").items())
    captions[line.at("image_id").as_text()] = line.at("caption").as_text();
  CHECK(captions == expected.captions);
  const std::string folder = std::filesystem::path(scene.plain).parent_path().filename();
  const std::string row = "\n" + folder + "/plain + " + folder + "/small      -           5  " +
                          tensor::format("{:.4f}", expected.scores.bleu[0]);
  CHECK(has(table, row));
  const Json models(std::vector<std::string>{scene.plain, scene.model});
  CHECK(read_json(eval({"--features", scene.features, "--json"})).at("models") == models);
  CHECK(read_json(read_text(out)).at("scores").at("models") == models);
}

TEST_CASE("models that do not go together are refused, each with what differs") {
  const Scene scene;
  const std::string other = scene.folder / "other.safetensors";
  const auto refused = [&](const std::function<void(Checkpoint&)>& f, const std::string& why) {
    change(scene.plain, other, f);
    check_refused(caption({"--model", scene.model, "--ensemble", other}), why);
  };
  refused(
      [](Checkpoint& c) { c.vocabulary[7] = " train"; },
      other + ": its vocabulary is not that of " + scene.model +
          ": token 7 is ' plane' there and ' train' here; models that caption together have one vocabulary");
  refused([](Checkpoint& c) { c.preprocessing.height = 160; },
          other + ": its photos are made ready otherwise than those of " + scene.model);
  refused([](Checkpoint& c) { c.encoder = "resnet50"; },
          other + ": its encoder is resnet50, that of " + scene.model +
              " is efficientnet_lite2; models that caption together look through one encoder");
  const nn::StateDict own =
      load_encoder("efficientnet_lite2", scene.weights, EncoderUse::features).encoder->state_dict();
  refused([&](Checkpoint& c) { c.encoder_weights = own; },
          other + ": it was trained with other weights of the encoder than " + scene.model);
  // Those of one encoder that was trained go together.
  const std::string third = scene.folder / "third.safetensors";
  change(scene.model, third, [&](Checkpoint& c) { c.encoder_weights = own; });
  const Result both = caption({"--model", third, "--ensemble", other, "--json"});
  CAPTURE(both.err);
  REQUIRE(both.code == 0);
  const Result given =
      caption({"--model", scene.model, "--ensemble", scene.plain, "--weights", scene.weights, "--json"});
  CHECK(read_json(both.out).at("caption") == read_json(given.out).at("caption"));
  // Of another file of the encoder's weights (its 16-bit twin, or another one): a word about it.
  change(scene.plain, other, [](Checkpoint& c) { c.encoder_key = "another"; });
  const Result told = caption({"--model", scene.model, "--ensemble", other});
  CHECK(told.code == 0);
  CHECK(has(told.err,
            other +
                ": another file of efficientnet_lite2's weights was its encoder in training than that of " +
                scene.model));
  check_refused(caption({"--model", scene.model, "--ensemble", scene.plain, "--compat", "original"}),
                "caption: --ensemble: the original's search has one model");
  check_refused(caption({"--model", scene.model, "--ensemble", scene.folder / "none.safetensors"}),
                "none.safetensors");
  check_refused(
      caption({"--model", scene.plain, "--ensemble", scene.plain, "--attention", scene.folder / "sheet.png"}),
      "the model " + scene.plain + " + " + scene.plain + " has no attention");
}
