#include "imgcap/report/report.h"

#include <doctest/doctest.h>

#include "imgcap/report/attention_map.h"
#include "imgcap/report/html.h"
#include "tensor/error.h"
#include "tests/report/example.h"
#include "tests/report/html_check.h"
#include "tests/text.h"

using namespace imgcap;
using tests::count;
using tests::example;
using tests::has;

namespace {

constexpr const char* kAttack = "\"'><script>alert(1)</script>&";

}  // namespace

TEST_CASE("a page has every part, tags that match, and needs nothing else") {
  Report report = example();
  report.log = parse_training_log(
      "{\"step\":1,\"loss\":5}\n{\"step\":2,\"loss\":4}\n"
      "{\"validation\":true,\"step\":2,\"loss\":4.5,\"BLEU-4\":0.1,\"CIDEr\":0.2,\"best\":true}\n",
      "log");
  report.log_file = "log.jsonl";
  const std::string page = render_report(report);
  CHECK(tests::problem_of_html(page) == "");
  CHECK(tests::is_self_contained(page));
  for (const char* part :
       {"imgcap 1.2.3", "2026-01-02, 03:04 UTC", "test.txt", "attention.safetensors", "1,234,567 parameters",
        "6,092,072 parameters", "3 images of test.txt, 1 reference each, Treebank words",
        "Beam search of width 5, captions of at most 30 words, length exponent 1.", "<td>0.5000</td>",
        "<td><strong>0.7500</strong></td>", "validation CIDEr</dt><dd>0.5</dd>", "data</dt><dd>here</dd>",
        "log-probability -3.25, 12.5 ms", "gone.jpg: cannot be opened", "2 steps and 1 validation,",
        "loss (nats a token)", "CIDEr is 0.2000, after step 2"})
    CHECK_MESSAGE(has(page, part), part);
  CHECK(!has(page, "&quot;lr&quot;"));  // the list of settings is left out
  // Each photo that can be read is there once; a map a word of the attention model on each of them.
  CHECK(count(page, "data:image/jpeg") == 2);
  CHECK(count(page, "data:image/png") == 4);
  CHECK(count(page, "href=\"#photo1\"") == 2);
  CHECK(has(page, "for a: most at the top left"));
  CHECK(has(page, "for dog: most at the bottom right"));
  CHECK(has(page, "viewBox=\"0 0 480 150\""));  // scaled down
  CHECK(has(page, "viewBox=\"0 0 20 40\""));    // as it is
  CHECK(has(page, "aria-label=\"photo wide.jpg: A dog runs .\""));
}

TEST_CASE("every text is escaped") {
  Report report = example();
  const std::string shown = escape_html(kAttack);
  report.title = report.version = report.made = report.list = report.log_file = kAttack;
  report.left_out = {{kAttack, kAttack}};
  for (ReportModel& model : report.models) {
    model.name = model.file = model.kind = model.encoder = model.scores.split = kAttack;
    model.notes = {{kAttack, kAttack}, {"epoch", kAttack}};
  }
  for (ReportPhoto& photo : report.photos) {
    photo.name = photo.problem = photo.references[0] = kAttack;
    for (ReportCaption& caption : photo.captions) {
      caption.text = kAttack;
      for (std::string& word : caption.attention.words) word = kAttack;
    }
  }
  report.log = parse_training_log("{\"step\":1,\"loss\":5}", "log");
  const std::string page = render_report(report);
  CHECK(tests::problem_of_html(page) == "");
  CHECK(tests::is_self_contained(page));
  CHECK(!has(page, "<script"));
  CHECK(count(page, shown) > 40);
}

TEST_CASE("parts that may be missing") {
  Report report = example();
  report.photos.clear();
  report.models.resize(1);
  report.models[0].scores.images = 1;
  const std::string page = render_report(report);
  CHECK(tests::problem_of_html(page) == "");
  CHECK(has(page, "1 model captioned 1 photo of"));
  CHECK(!has(page, "<strong>0."));  // nothing to be better than
  CHECK(!has(page, "<h2>Photos"));
  CHECK(!has(page, "<h2>Training"));
  report.left_out.assign(50, {"x.jpg", "it is not among the photos"});
  report.listed = 51;
  CHECK(has(render_report(report), "50 of the list’s 51 photos are left out"));
  CHECK(has(render_report(report), "and 30 more"));
  report.models.clear();
  CHECK_THROWS_WITH_AS(render_report(report), "report: no model", tensor::Error);
}

TEST_CASE("the introduction says what is on the page") {
  Report report = example();
  const auto introduction = [&] { return tests::all_between(render_report(report), "<p>", "</p>").at(0); };
  const std::string made =
      " It was made by imgcap 1.2.3 with the encoder efficientnet_lite2 on 2026-01-02, 03:04 UTC.";
  const std::string photos =
      "3 photos with the captions of models and people and where a model looked for each word.";
  CHECK(introduction() ==
        "2 models captioned 3 photos of <strong>test.txt</strong>. This page shows the scores of these "
        "captions and " +
            photos + made);
  report.log = parse_training_log("{\"step\":1,\"loss\":5}", "log");
  CHECK(introduction() ==
        "2 models captioned 3 photos of <strong>test.txt</strong>. This page shows the scores of these "
        "captions, "
        "the course of the training and " +
            photos + made);
  report.photos.resize(1);
  report.photos[0].captions.clear();
  CHECK(has(introduction(), "and 1 photo with the captions of models and people. It"));
  report.photos.clear();
  CHECK(has(introduction(), "shows the scores of these captions and the course of the training. It"));
  report.log.reset();
  report.models[0].scores.images = 1234;
  report.models[0].encoder = "resnet18";
  CHECK(introduction() ==
        "2 models captioned 1,234 photos of <strong>test.txt</strong>. This page shows the scores of these "
        "captions. It was made by imgcap 1.2.3 with the encoders efficientnet_lite2 and resnet18 on "
        "2026-01-02, 03:04 UTC.");
  const std::string page = render_report(report);
  CHECK(has(page, "<title>Two models</title>"));
  CHECK(has(page, "<h1>Two models</h1>"));
}

TEST_CASE("captions and maps that do not fit are refused") {
  Report report = example();
  report.photos[0].captions[0].attention.words.pop_back();
  CHECK_THROWS_WITH_AS(render_report(report), "report: 1 words with 2 maps", tensor::Error);
  report = example();
  report.photos[0].captions[0].attention.rows = 7;
  CHECK_THROWS_WITH_AS(render_report(report), "report: a map of 6 places for a grid of 7 x 3", tensor::Error);
  report = example();
  report.photos[0].captions[1].model = 2;
  CHECK_THROWS_WITH_AS(render_report(report), "report: a caption of model 2 among 2", tensor::Error);
}

TEST_CASE("attention between the middles of a map's cells") {
  const std::vector<float> map = {0, 1, 2, 3, 4, 5};  // 2 rows
  CHECK(attention_at(map, 2, 3, 0.25, 0.5) == 1);
  CHECK(attention_at(map, 2, 3, 0.75, 5.0 / 6) == 5);
  CHECK(attention_at(map, 2, 3, 0.5, 0.5) == 2.5f);
  CHECK(attention_at(map, 2, 3, 0, 0) == 0);
  CHECK(attention_at(map, 2, 3, 1, 1) == 5);
  CHECK(attention_at({7}, 1, 1, 0.3, 0.9) == 7);
}

TEST_CASE("pieces of HTML") {
  CHECK(escape_html("a < b & \"c\" > 'd'") == "a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39;");
  CHECK(escape_html("a\n\tb\x01\xff é") == "a  b\xef\xbf\xbd\xef\xbf\xbd é");
  // Control characters, and marks that turn the direction of text, are replaced, and no neighbours of theirs.
  const std::string replaced = "\xef\xbf\xbd";
  for (const std::string bad : {"\x1f", "\x7f", "\xc2\x80", "\xc2\x9f", "\xe2\x80\xaa", "\xe2\x80\xae",
                                "\xe2\x81\xa6", "\xe2\x81\xa9"})
    CHECK(escape_html(bad) == replaced);
  for (const std::string good : {" ", "~", "\xc2\xa0", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\xa5",
                                 "\xe2\x81\xaa", "\xf0\x9f\x90\xbb"})
    CHECK(escape_html(good) == good);
  CHECK(escape_html("a\rb") == "a b");
  CHECK(escape_html("").empty());
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(-1234567) == "-1,234,567");
  CHECK(grouped(999999) == "999,999");
  CHECK(grouped(1000000) == "1,000,000");
  CHECK(grouped(-999) == "-999");
  CHECK(grouped(INT64_MIN) == "-9,223,372,036,854,775,808");
  CHECK(counted(0, "step") == "0 steps");
  CHECK(counted(1, "step") == "1 step");
  CHECK(counted(2000, "step") == "2,000 steps");
  // RFC 4648, section 10.
  const std::string start = "data:text/plain;base64,";
  CHECK(data_uri("text/plain", "") == start);
  CHECK(data_uri("text/plain", "f") == start + "Zg==");
  CHECK(data_uri("text/plain", "fo") == start + "Zm8=");
  CHECK(data_uri("text/plain", "foo") == start + "Zm9v");
  CHECK(data_uri("text/plain", "foob") == start + "Zm9vYg==");
  CHECK(data_uri("text/plain", "fooba") == start + "Zm9vYmE=");
  CHECK(data_uri("text/plain", "foobar") == start + "Zm9vYmFy");
  // What follows in memory is no part of it.
  CHECK(data_uri("text/plain", std::string_view("foobar").substr(0, 4)) == start + "Zm9vYg==");
  CHECK(data_uri("text/plain", std::string_view("foobar").substr(0, 5)) == start + "Zm9vYmE=");
  // Each digit once: the six bits of 0 to 63 in a row.
  std::string bytes;
  for (unsigned i = 0; i < 64; i += 4) {
    const unsigned group = i << 18 | (i + 1) << 12 | (i + 2) << 6 | (i + 3);
    for (const int shift : {16, 8, 0}) bytes += static_cast<char>(group >> shift & 255);
  }
  CHECK(data_uri("x", bytes) ==
        "data:x;base64,ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  CHECK(data_uri("text/plain", "\xff\xfe\xfd") == start + "//79");
}

TEST_CASE("the check of pages finds what is wrong") {
  CHECK(tests::problem_of_html("<p>a<b>c</b></p>") == "");
  CHECK(tests::problem_of_html("<p><b></p></b>") != "");
  CHECK(tests::problem_of_html("<p>") != "");
  CHECK(tests::problem_of_html("<p title=\"a>b\"></p>") == "");
  CHECK(tests::problem_of_html("<p title=\"a\"b\"></p>") != "");
  CHECK(!tests::is_self_contained("<image href=\"photo.jpg\"/>"));
  CHECK(!tests::is_self_contained("<img src=\"x\">"));
  CHECK(!tests::is_self_contained("see https://example.org"));
  CHECK(tests::is_self_contained("<image href=\"data:image/png;base64,a//b\"/>"));
}
