// The page of `imgcap report`, made with what ships in assets and two small decoders of random weights.
#include <doctest/doctest.h>

#include "tensor/format.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"
#include "tests/report/html_check.h"
#include "tests/text.h"

using tensor::io::Json;
using tests::count;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

constexpr const char* kAttack = "<script>alert(1)<";

const std::string kWeights = tests::encoder_in_the_box();

// Two photos, a third one under a name that attacks, a fourth one that is cut short.
struct Scene {
  Folder folder;
  std::string photos = folder / "photos", captions = folder / "captions", list = folder / "list",
              page = folder / "report.html", attention = folder / "attention.safetensors",
              plain = folder / "plain.safetensors", log = folder / "log.jsonl",
              features = folder / "features.safetensors", hostile = std::string(kAttack) + ".jpg";

  Scene() {
    const std::filesystem::path assets = tests::source_dir() / "assets/photos";
    std::filesystem::create_directory(photos);
    const std::string bear = tests::read_text(assets / "coco_000000000285.jpg"),
                      other = tests::read_text(assets / "coco_000000000785.jpg");
    tests::write_text(photos + "/bear.jpg", bear);
    tests::write_text(photos + "/skier.jpg", other);
    tests::write_text(photos + "/" + hostile, other);
    tests::write_text(photos + "/cut.jpg", bear.substr(0, 3000));
    tests::write_text(
        captions,
        "image_name| comment_number| comment\nbear.jpg| 0| a bear .\nbear.jpg| 1| A bear <script>\n"
        "skier.jpg| 0| a plane .\ncut.jpg| 0| a bear\n" +
            hostile + "| 0| a \"plane\" </q><script>alert(2)</script>\n");
    tests::write_text(list, "bear.jpg\nskier.jpg\n" + hostile + "\n");
    tests::write_text(log,
                      "{\"step\":1,\"epoch\":0,\"loss\":5.5}\n{\"validation\":true,\"step\":1,\"loss\":5,"
                      "\"BLEU-4\":0,\"CIDEr\":0.125,\"best\":true}\n");
    tests::write_small_model(attention, imgcap::DecoderKind::attention);
    tests::write_small_model(plain, imgcap::DecoderKind::plain);
  }

  Result report(const std::vector<std::string>& more, const std::string& out = "") const {
    std::vector<std::string> all = {
        "report",    "--images",    photos,       "--captions", captions,
        "--weights", kWeights,      "--features", features,     "--beam",
        "2",         "--max-words", "6",          "--out",      out.empty() ? page : out};
    if (std::find(more.begin(), more.end(), "--list") == more.end()) all.insert(all.end(), {"--list", list});
    if (std::find(more.begin(), more.end(), "--model") == more.end())
      all.insert(all.end(), {"--model", attention});
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
  Json scores(const std::string& model) const {
    return read_json(
        run({"eval", "--checkpoint", model, "--images", photos, "--captions", captions, "--list", list,
             "--weights", kWeights, "--features", features, "--beam", "2", "--max-words", "6", "--json"})
            .out);
  }
};

void check_one_sentence(const Result& result, const std::string& message) {
  CAPTURE(result.err);
  CHECK(result.code == 2);
  CHECK(has(result.err, message));
  CHECK(count(result.err, "\n") == 1);  // one sentence
}

}  // namespace

TEST_CASE("report: a page of two models") {
  const Scene scene;
  const Result made = scene.report(
      {"--model", scene.attention, "--model", scene.plain, "--log", scene.log, "--title", "A <b>title</b>"});
  CAPTURE(made.err);
  REQUIRE(made.code == 0);
  CHECK(has(made.out, "3 photos scored, 3 shown"));
  const std::string page = tests::read_text(scene.page);
  CHECK(tests::problem_of_html(page) == "");
  CHECK(tests::is_self_contained(page));
  CHECK(has(page, "<h1>A &lt;b&gt;title&lt;/b&gt;</h1>"));
  CHECK(has(page, "&lt;script&gt;alert(1)&lt;.jpg"));  // the photo's name
  CHECK(
      has(page, "<li dir=\"auto\">a &quot;plane&quot; &lt;/q&gt;&lt;script&gt;alert(2)&lt;/script&gt;</li>"));
  CHECK(count(page, "data:image/jpeg") == 3);
  CHECK(count(page, "data:image/png") >= 3);  // of the attention model alone
  CHECK(count(page, "word by word") == 3);
  CHECK(count(page, "log-probability -") == 6);
  CHECK(has(page, "1 step and 1 validation,"));
  CHECK(has(page, "epoch</dt><dd>3</dd>"));
  CHECK(page.size() < 1000000);

  // The scores are eval's, row by row.
  std::vector<Json> scores = {scene.scores(scene.attention), scene.scores(scene.plain)};
  CHECK(scores[0].at("BLEU-1").as_double() > 0);
  std::string cells;
  for (const Json& row : scores)
    for (const char* name : {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"})
      cells += tensor::format("<td>{:.4f}</td>", row.at(name).as_double());
  std::string table;
  for (size_t at = page.find("<td>"); at != std::string::npos; at = page.find("<td>", at + 1)) {
    std::string cell = page.substr(at, page.find("</td>", at) + 5 - at);
    for (const char* tag : {"<strong>", "</strong>"})
      if (const size_t place = cell.find(tag); place != std::string::npos)
        cell.erase(place, std::string(tag).size());
    table += cell;
  }
  CHECK(table == cells);
  CHECK(has(page,
            "3 images of list, 1 to 2 references each, Treebank words (PTBTokenizer), standard protocol"));
}

TEST_CASE("report: fewer photos than the list has") {
  const Scene scene;
  CHECK(scene.report({"--photos", "1"}).code == 0);
  const std::string page = tests::read_text(scene.page);
  CHECK(count(page, "<article>") == 1);
  CHECK(has(page, "The first 1 of 3."));
  CHECK(has(page, "1 model captioned 3 photos"));
  CHECK(!has(page, "<h2>Training"));
  CHECK(scene.report({"--photos", "0"}).code == 0);
  CHECK(!has(tests::read_text(scene.page), "<article>"));
}

TEST_CASE("report: photos that cannot be read are named") {
  const Scene scene;
  const std::string list = scene.folder / "more";
  tests::write_text(list, "cut.jpg\nbear.jpg\nnowhere.jpg\nsilent.jpg\n");
  std::filesystem::copy_file(scene.photos + "/skier.jpg", scene.photos + "/silent.jpg");
  const Result made = scene.report({"--list", list});
  CAPTURE(made.err);
  CHECK(made.code == 0);
  const std::string page = tests::read_text(scene.page);
  CHECK(tests::problem_of_html(page) == "");
  CHECK(has(page, "3 of the list’s 4 photos are left out"));
  CHECK(has(page, "<strong>cut.jpg</strong>: " + scene.photos + "/cut.jpg: "));
  CHECK(has(page, "<strong>nowhere.jpg</strong>: it is not among the photos"));
  CHECK(has(page, "<strong>silent.jpg</strong>: it has no reference captions"));
  CHECK(count(page, "<article>") == 1);
  // The next time the cache knows that one cannot be read, not why.
  REQUIRE(scene.report({"--list", list}).code == 0);
  CHECK(has(tests::read_text(scene.page), "<strong>cut.jpg</strong>: it cannot be read"));

  // With features from before, a photo that has gone bad still has its captions.
  REQUIRE(scene.report({}).code == 0);
  tests::write_text(scene.photos + "/bear.jpg", "no picture");
  REQUIRE(scene.report({}).code == 0);
  const std::string without = tests::read_text(scene.page);
  CHECK(has(without, "This photo cannot be shown: " + scene.photos + "/bear.jpg: "));
  CHECK(count(without, "<article>") == 3);
  CHECK(count(without, "log-probability -") == 3);
  CHECK(count(without, "data:image/jpeg") == 2);
  tests::write_text(scene.photos + "/skier.jpg", "no picture");
  tests::write_text(scene.photos + "/" + scene.hostile, "no picture");
  check_one_sentence(scene.report({}), "no photo can be shown; the first: ");
  CHECK(tests::read_text(scene.page) == without);
}

TEST_CASE("report: bad input ends with one sentence and leaves the old page alone") {
  const Scene scene;
  tests::write_text(scene.page, "old");
  check_one_sentence(scene.report({"--log", scene.folder / "missing"}), scene.folder / "missing");
  tests::write_text(scene.log, "{\"step\":1,\"loss\":5}\n{\"step\":2,\n");
  check_one_sentence(scene.report({"--log", scene.log}), scene.log + ":2: ");
  const std::string list = scene.folder / "bad";
  tests::write_text(list, "cut.jpg\n");
  const Result none = scene.report({"--list", list});
  CHECK(none.code == 2);
  CHECK(has(none.err, "none of 1 photos can be read"));
  tests::write_text(list, "nowhere.jpg\n");
  tests::check_refused(scene.report({"--list", list}),
                       "none of 1 photos is there and can be read (first: nowhere.jpg)");
  check_one_sentence(scene.report({"--list", scene.folder / "missing"}), "missing: cannot be read");
  check_one_sentence(scene.report({"--model", scene.folder / "missing"}), scene.folder / "missing");
  tests::check_refused(scene.report({"--beam", "0"}), "--beam: '0' is not a number from 1 to 100");
  CHECK(tests::read_text(scene.page) == "old");
  tests::check_refused(run({"report", "--model", scene.attention}), "--images is required");

  // Outputs that take nothing.
  check_one_sentence(scene.report({}, scene.folder / "missing/report.html"), "there is no folder ");
  check_one_sentence(scene.report({}, scene.photos), "is a folder");
  check_one_sentence(scene.report({}, "/proc/report.html"), "/proc/report.html");
  check_one_sentence(scene.report({}, "/dev/full"), "/dev/full");
}
