// The page's scores, and what the models are.
#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/report/report.h"
#include "tensor/format.h"
#include "tests/report/example.h"
#include "tests/text.h"

using namespace imgcap;
using tests::all_between;
using tests::count;
using tests::example;
using tests::has;
using Texts = std::vector<std::string>;

namespace {

// Three models: who is best differs from column to column.
Report three_models() {
  Report report = example();
  report.models.push_back(report.models[0]);
  report.models[2].name = "third";
  const double scores[3][6] = {{0.61, 0.42, 0.20, 0.1, 0.5, 0.9},
                               {0.60, 0.43, 0.22, 0.1, 0.30001, 0.9},
                               {0.59, 0.41, 0.21, 0.1, 0.30004, 0.8}};
  for (size_t m = 0; m < 3; ++m) {
    Scores& s = report.models[m].scores;
    for (size_t n = 0; n < 4; ++n) s.bleu[n] = scores[m][n];
    s.rouge_l = scores[m][4];
    s.cider = scores[m][5];
  }
  return report;
}

Texts rows_of(const std::string& page) { return all_between(page, "<tr>", "</tr>"); }

}  // namespace

TEST_CASE("the table has a row a model, each score in its column and the best ones in bold") {
  const std::string page = render_report(three_models());
  const Texts rows = rows_of(page);
  REQUIRE(rows.size() == 4);
  CHECK(all_between(rows[0], "<th scope=\"col\">", "</th>") ==
        Texts{"Model", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"});
  for (const size_t row : {1, 2, 3}) CHECK(count(rows[row], "<th scope=\"row\">") == 1);
  CHECK(has(rows[1], ">attention</th>"));
  CHECK(has(rows[2], ">plain</th>"));
  CHECK(has(rows[3], ">third</th>"));
  // BLEU-4 is the same for all; CIDEr is for two.
  CHECK(all_between(rows[1], "<td>", "</td>") == Texts{"<strong>0.6100</strong>", "0.4200", "0.2000",
                                                       "0.1000", "<strong>0.5000</strong>",
                                                       "<strong>0.9000</strong>"});
  CHECK(all_between(rows[2], "<td>", "</td>") == Texts{"0.6000", "<strong>0.4300</strong>",
                                                       "<strong>0.2200</strong>", "0.1000", "0.3000",
                                                       "<strong>0.9000</strong>"});
  CHECK(all_between(rows[3], "<td>", "</td>") ==
        Texts{"0.5900", "0.4100", "0.2100", "0.1000", "0.3000", "0.8000"});
  // What prints alike is not told apart.
  Report two = three_models();
  two.models.erase(two.models.begin());
  CHECK(has(rows_of(render_report(two))[2], "<td>0.3000</td>"));
}

TEST_CASE("below the table: what the scores mean, once, and how captions were searched") {
  Report report = example();
  report.beam = 7;
  report.max_words = 21;
  report.length_exponent = 0.75;
  const std::string search =
      ". Beam search of width 7, captions of at most 21 words, length exponent 0.75. Bold: the best of a "
      "column.";
  const auto notes = [&] {
    const std::string page = render_report(report);
    return all_between(page.substr(0, page.find("<h2>Models")), "<p class=\"note\">", "</p>");
  };
  REQUIRE(notes().size() == 1);
  CHECK(notes()[0].ends_with(search));
  CHECK(has(notes()[0], "3 images of test.txt, 1 reference each"));
  report.models[1].scores.images = 2;
  REQUIRE(notes().size() == 2);
  CHECK(has(notes()[0], "3 images of"));
  CHECK(has(notes()[1], "2 images of"));
  report.models.resize(1);
  report.photos.clear();
  REQUIRE(notes().size() == 1);
  CHECK_FALSE(has(notes()[0], "Bold"));
}

TEST_CASE("photos without a score are told, twenty by name") {
  Report report = example();
  report.listed = 51;
  CHECK_FALSE(has(render_report(report), "left out"));
  const auto problems = [&](size_t n) {
    report.left_out.clear();
    for (size_t i = 0; i < n; ++i)
      report.left_out.emplace_back(tensor::format("x{}", i), tensor::format("why {}", i));
    return render_report(report);
  };
  const std::string one = problems(1);
  CHECK(has(one, "<p>1 of the list’s 51 photos is left out:</p>"));
  CHECK(has(one, "<li><strong>x0</strong>: why 0</li>"));
  const std::string twenty = problems(20);
  CHECK(has(twenty, "<p>20 of the list’s 51 photos are left out:</p>"));
  CHECK(has(twenty, "<strong>x19</strong>: why 19"));
  CHECK_FALSE(has(twenty, " more</li>"));
  const std::string more = problems(21);
  CHECK(has(more, "<li>and 1 more</li>"));
  CHECK_FALSE(has(more, "x20"));
}

TEST_CASE("a model's card says what it is and what its checkpoint's notes say") {
  Report report = example();
  report.models[1] = {"mine", "runs/mine.safetensors", "plain", "resnet18", 1234567, 11689512, 4096, {}, {}};
  report.models[1].scores.images = 3;
  report.models[1].notes = {{"data", "here"},
                            {"epoch", "7"},
                            {"step", "1234"},
                            {"validation_bleu4", "0.25"},
                            {"validation_cider", "0.75"},
                            {"options", "{}"},
                            {"zebra", std::string(200, 'z')},
                            {"long", std::string(201, 'l')}};
  const Texts cards = all_between(render_report(report), "<div class=\"card\">", "</div>");
  REQUIRE(cards.size() == 2);
  CHECK(has(cards[0], "<h3>attention</h3>"));
  CHECK(has(cards[0], "<dt>file</dt><dd>attention.safetensors</dd>"));
  CHECK(has(cards[1], "<h3>mine</h3>"));
  CHECK(all_between(cards[1], "<dt>", "</dd>") ==
        Texts{"file</dt><dd>runs/mine.safetensors",
              "decoder</dt><dd>plain, 1,234,567 parameters, 4,096 tokens",
              "encoder</dt><dd>resnet18, 11,689,512 parameters, not trained here", "epoch</dt><dd>7",
              "step</dt><dd>1234", "validation CIDEr</dt><dd>0.75", "validation BLEU-4</dt><dd>0.25",
              "data</dt><dd>here", "zebra</dt><dd>" + std::string(200, 'z')});
}

TEST_CASE("a model's confidence is shown with how often it was right, and only where there is one") {
  Report report = example();
  CHECK_FALSE(has(render_report(report), "Confidence"));
  ReportModel& model = report.models[1];
  model.name = "<b>";
  model.confidence = Confidence();
  model.measure.photos = 7;
  model.measure.captions.table[3] = {4, 0.35, 0.25};
  model.measure.captions.calibration_error = 0.1;
  model.measure.captions.auroc = NAN;
  model.measure.words.table[9] = {1234, 0.97, 0.875};
  model.measure.words.auroc = 0.8125;
  model.measure.model_words.calibration_error = 0.25;
  const std::string page = render_report(report);
  CHECK(count(page, "<h2>Confidence</h2>") == 1);
  CHECK(has(
      page,
      "<h3>&lt;b&gt;</h3>\n<p>7 photos of test.txt that it is never fitted to. Captions: calibration "
      "error (ECE) 0.100, AUROC -. Words: calibration error (ECE) 0.000, AUROC 0.812 (as the model has them: ECE 0.250).</p>"));
  CHECK(has(page,
            "<th scope=\"row\">0.3 to 0.4</th><td>4</td><td>0.350</td><td>0.250</td><td>0</td><td>-</td>"));
  CHECK(has(page,
            "<th scope=\"row\">0.9 to 1.0</th><td>0</td><td>-</td><td>-</td><td>1,234</td><td>0.970</td>"
            "<td>0.875</td>"));
}
