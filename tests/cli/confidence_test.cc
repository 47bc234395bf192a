// eval --fit-confidence, and what caption and report make of it.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "imgcap/training/checkpoint.h"
#include "imgcap/training/confidence.h"
#include "tensor/format.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"

using namespace tests;
using namespace imgcap;
using tensor::io::Json;

namespace {

// The photos of the box that are not for training, so many that some captions are above the median.
struct Photos {
  Folder folder;
  std::string list = folder / "list.txt", model = folder / "model.safetensors", out = folder / "out.json",
              bare = folder / "bare.safetensors";

  Photos() {
    write_bare_model(bare);
    const std::string photos = assets() + "/photos/";
    write_text(list, read_text(photos + "val.txt") + read_text(photos + "test.txt"));
  }
  Result eval(const std::string& checkpoint, const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"eval",
                                    "--checkpoint",
                                    checkpoint,
                                    "--images",
                                    assets() + "/photos",
                                    "--captions",
                                    assets() + "/photos/captions.csv",
                                    "--list",
                                    list,
                                    "--features",
                                    folder / "features.safetensors"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
};

}  // namespace

TEST_CASE("a confidence is fitted, measured, kept by convert, and said by caption and report") {
  const Photos p;
  const Result fit = p.eval(p.bare, {"--fit-confidence", p.model, "--out", p.out});
  CAPTURE(fit.err);
  REQUIRE(fit.code == 0);
  const Confidences all = load_checkpoint(p.model).confidence;
  REQUIRE(all.contains("en"));
  const Confidence* fitted = &all.at("en");
  std::string reversed, name;
  int64_t shown = 0;
  for (std::istringstream names(read_text(p.list)); std::getline(names, name);
       reversed.insert(0, name + "\n"))
    shown += is_fitted_to(name) ? 0 : 1;
  CHECK(fitted->photos == 12 - shown);
  CHECK(fitted->beam == 5);
  CHECK(fitted->list == "list.txt");
  const std::string line = tensor::format(
      "confidence ({} photos of list.txt that it is never fitted to; CIDEr above {:.3f}): captions ECE ",
      shown, fitted->median_cider);
  CHECK(has(fit.out, line));
  const Json written = read_json(read_text(p.out));
  const Json& measure = written.at("scores").at("confidence").at("en");
  CHECK(measure.at("photos") == shown);
  CHECK(measure.at("captions").at("bins").size() == 10);
  for (const Json& caption : written.at("captions").items()) CHECK(caption.at("confidence").as_double() > 0);
  // The model that was written says the same of itself; the one that was read says nothing.
  const Json again = read_json(p.eval(p.model, {"--json"}).out);
  CHECK(again.at("confidence").at("en") == measure);
  CHECK(again.find("models") == nullptr);
  CHECK(read_json(p.eval(p.bare, {"--json"}).out).find("confidence") == nullptr);
  // Whatever the order of the list, and with its photos in two sets.
  write_text(p.list, reversed);
  CHECK(read_json(p.eval(p.model, {"--json"}).out).at("confidence").at("en").at("captions") ==
        measure.at("captions"));
  const std::string captions = assets() + "/photos/captions.csv";
  const Result twice = run({"eval", "--checkpoint", p.model, "--images", assets() + "/photos", "--captions",
                            "a=" + captions, "b=" + captions, "--list", "a=" + p.list, "b=" + p.list,
                            "--features", p.folder / "features.safetensors", "--json"});
  CHECK(read_json(twice.out).at("confidence").at("en").at("photos") == 2 * shown);
  // In another format, too.
  const std::string small = p.folder / "small.safetensors";
  REQUIRE(run({"convert", p.model, small, "--format", "f16"}).code == 0);
  CHECK(load_checkpoint(small).confidence == all);

  const std::string bear = assets() + "/photos/coco_000000000285.jpg";
  const Json said = read_json(run({"caption", "--model", p.model, "--nbest", "2", "--json", bear}).out);
  const double confidence = said.at("confidence").as_double();
  std::string text;
  for (const Json& word : said.at("words").items()) {
    const double probability = word.at("probability").as_double();
    CHECK(probability > 0);
    CHECK(probability <= 1);
    CHECK(word.at("confidence") == fitted->of_word(probability));
    text += (text.empty() ? "" : " ") + word.at("word").as_text();
  }
  CHECK(text == said.at("caption").as_text());
  CHECK(confidence > 0);
  CHECK(confidence < 1);
  CHECK(said.at("alternatives").at(size_t{0}).at("confidence") != confidence);
  const auto line_of = [&](const std::string& doubt) {
    return run({"caption", "--model", p.model, "--doubt", doubt, bear}).out;
  };
  CHECK(
      has(line_of("1"), said.at("caption").as_text() + tensor::format(" (not sure: {:.2f}) (", confidence)));
  CHECK_FALSE(has(line_of(tensor::format("{}", confidence / 2)), "not sure"));
  CHECK_FALSE(has(line_of("0"), "not sure"));

  const std::string page = p.folder / "page.html";
  const Result report =
      run({"report", "--model", p.model, "--model", "plain", "--images", assets() + "/photos", "--captions",
           assets() + "/photos/captions.csv", "--list", p.list, "--photos", "0", "--features",
           p.folder / "features.safetensors", "--out", page});
  CAPTURE(report.err);
  REQUIRE(report.code == 0);
  const std::string html = read_text(page);
  CHECK(count(html, "<h2>Confidence</h2>") == 1);
  CHECK(has(html,
            tensor::format(
                "{} photos of list.txt that it is never fitted to. Captions: calibration error (ECE) {:.3f}",
                shown, measure.at("captions").at("ECE").as_double())));
}

TEST_CASE("what has no confidence, and where it cannot be fitted") {
  const Photos p;
  const std::string bear = assets() + "/photos/coco_000000000285.jpg";
  check_refused(run({"caption", "--model", p.bare, "--doubt", "0.5", bear}),
                " has no confidence in en; imgcap eval --fit-confidence fits it");
  check_refused(run({"caption", "--ensemble", "attention", "--doubt", "0.5", bear}),
                "caption: --doubt: attention + attention has no confidence in en; it is one model's");
  CHECK(run({"caption", "--doubt", "1.5", bear}).code == 2);
  const Json line = read_json(run({"caption", "--model", p.bare, "--json", bear}).out);
  CHECK(line.find("confidence") == nullptr);
  CHECK(line.at("words").size() > 2);
  check_refused(p.eval(p.bare, {"--fit-confidence", p.model, "--ensemble", "plain"}),
                "eval: --fit-confidence: a confidence is one model's; leave out --ensemble");
  check_refused(p.eval(p.bare, {"--fit-confidence", p.model, "--compat", "original"}),
                "eval: --fit-confidence: it goes by each photo's CIDEr");
  check_refused(p.eval(p.bare, {"--fit-confidence", p.folder / "none/model.safetensors"}), "none");
  for (const char* form : {"json", "coco", "csv"})
    check_refused(run({"caption", "--doubt", "0.5", "--format", form, bear}), "caption: --doubt is for text");
  // The scores are told all the same.
  write_text(p.list, "coco_000000000285.jpg\n");
  const Result one = p.eval(p.bare, {"--fit-confidence", p.model});
  CHECK(one.code == 2);
  CHECK(
      has(one.err, " photos of list.txt that it would be fitted to, 0 have a CIDEr above the list's median"));
  CHECK(has(one.out, "CIDEr"));
  CHECK_FALSE(std::filesystem::exists(p.model));
}
