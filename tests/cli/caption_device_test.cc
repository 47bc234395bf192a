// --device of the verbs that find captions.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/cli/refused.h"
#include "tests/cli/search_scene.h"

using namespace tests;
using tensor::io::Json;

namespace {

bool has_device() { return read_json(run({"info", "--json"}).out).at("devices").size() > 0; }

// Models that look at small photos: an encoder takes an emulated device seconds.
struct SmallScene : Scene {
  SmallScene() {
    for (const std::string& file : {model, plain}) {
      Checkpoint checkpoint = load_checkpoint(file);
      checkpoint.preprocessing.height = checkpoint.preprocessing.width = 64;
      save_checkpoint(file, checkpoint);
    }
  }
};

// Of the verb on the device and on the CPU, as JSON.
struct Pair {
  Json there, here;

  explicit Pair(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Result cpu = run(arguments);
    arguments.insert(arguments.end(), {"--device", "cuda"});
    const Result cuda = run(arguments);
    CAPTURE(cuda.err);
    REQUIRE(cpu.code == 0);
    REQUIRE(cuda.code == 0);
    CHECK(has(cuda.err, "device cuda:0: "));
    there = read_json(cuda.out), here = read_json(cpu.out);
  }
};

void check_near(double there, double here) {
  CHECK(std::abs(there - here) <= 1e-4 * std::max(1.0, std::abs(here)));
}

}  // namespace

TEST_CASE("verbs that caption refuse a device that is not there, or is none, before they read anything") {
  const std::vector<std::vector<std::string>> verbs = {
      {"caption", "none.jpg", "--model", "none"},
      {"caption", "none.jpg", "--model", "none", "--explain", "a dog"},
      {"eval", "--checkpoint", "none", "--images", "none", "--captions", "none"},
      {"report", "--model", "none", "--images", "none", "--captions", "none", "--out", "page.html"},
      {"serve", "--model", "none", "--port", "0"}};
  for (std::vector<std::string> arguments : verbs) {
    CAPTURE(tensor::join(arguments, " "));
    arguments.insert(arguments.end(), {"--device", "cuda:9"});
    const Result result = run(arguments);
    if (has(result.err, "this build has no server")) continue;
    check_refused(result, "--device: cuda:9: ");
    arguments.back() = "tpu";
    check_refused(run(arguments), "'tpu' is no device");
  }
}

TEST_CASE("captions, alternatives and explanations on a device are the CPU's") {
  if (!has_device()) return;
  const SmallScene scene;
  const std::string photo = scene.photos + "/" + kBear;
  for (const std::string& model : {scene.model, scene.plain}) {
    const std::vector<std::string> caption = {"caption", photo, "--model", model, "--weights", scene.weights};
    for (const std::vector<std::string>& how :
         {std::vector<std::string>{"--beam", "3", "--nbest", "2", "--no-repeat-ngram", "2"},
          {"--sample", "--seed", "7"}}) {
      std::vector<std::string> arguments = caption;
      arguments.insert(arguments.end(), how.begin(), how.end());
      const Pair said(arguments);
      const Captions there = captions_of(said.there), here = captions_of(said.here);
      REQUIRE(there.size() == here.size());
      for (size_t i = 0; i < here.size(); ++i) {
        CHECK(there[i].first == here[i].first);
        check_near(there[i].second, here[i].second);
      }
    }
    std::vector<std::string> arguments = caption;
    arguments.insert(arguments.end(), {"--explain", "a bear ."});
    const Pair said(arguments);
    check_near(said.there.at("log_probability").as_double(), said.here.at("log_probability").as_double());
    const Json &there = said.there.at("attention"), &here = said.here.at("attention");
    CHECK(there.at("kind").as_text() == here.at("kind").as_text());
    for (size_t i = 0; i < here.at("maps").at(1).size(); ++i)
      check_near(there.at("maps").at(1).at(i).as_double(), here.at("maps").at(1).at(i).as_double());
  }
  const Pair both(
      {"caption", photo, "--model", scene.model, "--ensemble", scene.plain, "--weights", scene.weights});
  CHECK(captions_of(both.there).front().first == captions_of(both.here).front().first);
}

TEST_CASE("scores and pages of captions on a device are the CPU's") {
  if (!has_device()) return;
  const SmallScene scene;
  const Pair said({"eval", "--checkpoint", scene.model, "--weights", scene.weights, "--images", scene.photos,
                   "--captions", scene.captions, "--list", scene.list});
  CHECK(said.there.dump() == said.here.dump());
  const Result page = run({"report", "--model", scene.model, "--weights", scene.weights, "--images",
                           scene.photos, "--captions", scene.captions, "--list", scene.list, "--out",
                           scene.folder / "page.html", "--device", "cuda"});
  CAPTURE(page.err);
  CHECK(page.code == 0);
  CHECK(has(page.out, "2 photos scored, 2 shown"));
}
