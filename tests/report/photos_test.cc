// The page's photos: pictures, captions, and where models looked.
#include <doctest/doctest.h>

#include <cmath>

#include "imgcap/report/report.h"
#include "tensor/format.h"
#include "tests/report/example.h"
#include "tests/report/pictures.h"
#include "tests/text.h"

using namespace imgcap;
using tests::all_between;
using tests::count;
using tests::example;
using tests::has;
using Texts = std::vector<std::string>;

namespace {

// One photo with one caption of the attention model, which looked as the map says.
Report one_map(std::vector<float> map, int64_t rows, int64_t columns) {
  Report report = example();
  report.photos.resize(1);
  report.photos[0].image = Image(rows * 10, columns * 10);
  report.photos[0].captions = {{0, "a", -1, 2, {{"a"}, {std::move(map)}, rows, columns}}};
  return report;
}

// The place that is named for those who do not see the map, when one cell has all the weight.
std::string place_of(size_t cell, int64_t rows, int64_t columns) {
  std::vector<float> map(static_cast<size_t>(rows * columns), 0.01f);
  map[cell] = 1;
  return all_between(render_report(one_map(map, rows, columns)), "for a: most at the ", "\"").at(0);
}

}  // namespace

TEST_CASE("each caption stands by its photo, under the name of its model") {
  Report report = example();
  report.photos[0].captions[0].text = "first";
  report.photos[0].captions[1].text = "";
  report.photos[1].captions = {{1, "of the second", -0.126, 1234.56, {}}, {0, "of the first", -10, 0.04, {}}};
  report.photos[1].references = {"one <b>", "two"};
  report.photos[2].references.clear();
  const std::string page = render_report(report);
  const Texts articles = all_between(page, "<article>", "</article>");
  REQUIRE(articles.size() == 3);
  for (size_t i = 0; i < 3; ++i)
    CHECK(has(articles[i], "<h3 dir=\"ltr\">" + report.photos[i].name + "</h3>"));
  CHECK(all_between(articles[0], "<p class=\"caption\">", "</p>") ==
        Texts{"<b>attention</b> <q dir=\"auto\">first</q> <small>log-probability -3.25, 12.5 ms</small>",
              "<b>plain</b> <q dir=\"auto\">(no words)</q> <small>log-probability -4.50, 8.0 ms</small>"});
  CHECK(
      all_between(articles[1], "<p class=\"caption\">", "</p>") ==
      Texts{
          "<b>plain</b> <q dir=\"auto\">of the second</q> <small>log-probability -0.13, 1234.6 ms</small>",
          "<b>attention</b> <q dir=\"auto\">of the first</q> <small>log-probability -10.00, 0.0 ms</small>"});
  CHECK(all_between(articles[1], "<li dir=\"auto\">", "</li>") == Texts{"one &lt;b&gt;", "two"});
  CHECK(has(articles[1], "aria-label=\"photo high.jpg: one &lt;b&gt;\""));
  // The photo that cannot be shown has its captions, and no maps; without references there is no heading.
  CHECK(has(articles[2], "This photo cannot be shown: gone.jpg: cannot be opened"));
  CHECK(count(articles[2], "<p class=\"caption\">") == 2);
  CHECK_FALSE(has(articles[2], "What people wrote"));
  CHECK(count(page, "What people wrote") == 2);
  CHECK_FALSE(has(articles[2], "looked"));
  // A model without attention has no maps.
  CHECK(count(page, "Where attention looked, word by word") == 1);
  CHECK_FALSE(has(page, "Where plain looked"));
  report.photos[0].references.clear();
  CHECK(has(render_report(report), "aria-label=\"photo wide.jpg\""));
}

TEST_CASE("captions and words have their own direction, names of photos that of the page") {
  Report report = example();
  report.photos.resize(1);
  report.photos[0].name = "كلب.jpg";
  report.photos[0].references = {"كلب يركض.", "a dog"};
  report.photos[0].captions[0].text = "كلب بني.";
  report.photos[0].captions[0].attention.words = {"كلب", "بني"};
  report.photos[0].captions[1].text = "a dog";
  const std::string article = all_between(render_report(report), "<article>", "</article>").at(0);
  // Elements that hold text by others: each says where its text begins, in one of the two ways.
  CHECK(all_between(article, "<q dir=\"auto\">", "</q>") == Texts{"كلب بني.", "a dog"});
  CHECK(all_between(article, "<li dir=\"auto\">", "</li>") == Texts{"كلب يركض.", "a dog"});
  CHECK(all_between(article, "<h3 dir=\"ltr\">", "</h3>") == Texts{"كلب.jpg"});
  for (const char* bare : {"<q>", "<li>", "<h3>"}) CHECK_FALSE(has(article, bare));
  // Tiles run as their words do; a word of its own direction would not count for the whole.
  const std::string tiles = all_between(article, "<div class=\"tiles\" dir=\"auto\">", "</div>").at(0);
  CHECK(all_between(tiles, "<figcaption>", "</figcaption>") == Texts{"كلب", "بني"});
  CHECK(all_between(article, "dir=\"", "\"").size() == 6);
}

TEST_CASE("the tiles of a photo show that photo and the map of each word") {
  Report report = example();
  report.photos[1].captions[0].attention.words = {"one", "two"};
  const std::string page = render_report(report);
  const Texts articles = all_between(page, "<article>", "</article>");
  for (const size_t i : {0, 1}) {
    CAPTURE(i);
    const std::string id = tensor::format("photo{}", i + 1);
    CHECK(count(page, "id=\"" + id + "\"") == 1);
    CHECK(has(articles.at(i), "<image id=\"" + id + "\" "));
    CHECK(all_between(articles[i], "<use href=\"", "\"") == Texts{"#" + id, "#" + id});
  }
  CHECK(all_between(articles[0], "<figcaption>", "</figcaption>") == Texts{"a", "dog"});
  CHECK(all_between(articles[1], "<figcaption>", "</figcaption>") == Texts{"one", "two"});
  CHECK(all_between(articles[1], "aria-label=\"for ", "\"") ==
        Texts{"one: most at the top left", "two: most at the bottom right"});
}

TEST_CASE("photos are packed at most 480 pixels wide or high") {
  Report report = example();
  const auto sizes = [&](int64_t height, int64_t width) {
    report.photos.resize(1);
    report.photos[0].image = Image(height, width);
    const std::string page = render_report(report);
    const Image picture = tests::pictures(page, "jpeg").at(0);
    CHECK(count(page, tensor::format("viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"photo", picture.width,
                                     picture.height)) == 1);
    CHECK(count(page, tensor::format("<image width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\"",
                                     picture.width, picture.height)) == 2);
    return std::pair(picture.height, picture.width);
  };
  CHECK(sizes(480, 480) == std::pair<int64_t, int64_t>(480, 480));
  CHECK(sizes(481, 100) == std::pair<int64_t, int64_t>(480, 99));
  CHECK(sizes(240, 960) == std::pair<int64_t, int64_t>(120, 480));
  CHECK(sizes(1, 2000) == std::pair<int64_t, int64_t>(1, 480));
  CHECK(sizes(2000, 1) == std::pair<int64_t, int64_t>(480, 1));
  CHECK(sizes(7, 3) == std::pair<int64_t, int64_t>(7, 3));
  // The photo's own pixels are what is packed.
  report.photos[0].image = Image(20, 30);
  for (size_t i = 0; i < report.photos[0].image.pixels.size(); i += 3) report.photos[0].image.pixels[i] = 200;
  const Image red = tests::pictures(render_report(report), "jpeg").at(0);
  CHECK(std::abs(red.row(10)[3 * 15] - 200) < 10);
  CHECK(red.row(10)[3 * 15 + 2] < 10);
}

TEST_CASE("a map is bright where the model looked, scaled to its own brightest place") {
  // Four pixels a cell. Between the middles of two cells it goes from all the light to 0.3 of it; seen over
  // white, the black that hides the rest is white less its strength.
  for (const float most : {1.0f, 0.25f}) {
    CAPTURE(most);
    const Image shade = tests::pictures(render_report(one_map({most, 0}, 1, 2)), "png").at(0);
    REQUIRE(shade.height == 4);
    REQUIRE(shade.width == 8);
    const double light[] = {1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0};
    for (int64_t y = 0; y < 4; ++y)
      for (int64_t x = 0; x < 8; ++x) {
        CAPTURE(x);
        const double hidden = 255 * 0.7 * (1 - light[x]);
        CHECK(std::fabs(shade.row(y)[3 * x] - (255 - hidden)) <= 1);
      }
  }
  // Rows are rows.
  const Image tall = tests::pictures(render_report(one_map({0, 1}, 2, 1)), "png").at(0);
  REQUIRE(tall.height == 8);
  REQUIRE(tall.width == 4);
  CHECK(tall.row(0)[0] < 80);
  CHECK(tall.row(7)[0] == 255);
  // A map without any weight hides nothing.
  const Image none = tests::pictures(render_report(one_map({0, 0}, 1, 2)), "png").at(0);
  for (const uint8_t pixel : none.pixels) CHECK(pixel == 255);
}

TEST_CASE("where most of the attention is, in words") {
  const char *rows[] = {"top", "middle", "bottom"}, *columns[] = {"left", "centre", "right"};
  for (size_t cell = 0; cell < 9; ++cell)
    CHECK(place_of(cell, 3, 3) == tensor::format("{} {}", rows[cell / 3], columns[cell % 3]));
  // By the middle of the cell: of seven, two, three and two.
  for (size_t cell = 0; cell < 7; ++cell) {
    const size_t third = cell < 2 ? 0 : cell < 5 ? 1 : 2;
    CHECK(place_of(cell, 1, 7) == tensor::format("middle {}", columns[third]));
    CHECK(place_of(cell, 7, 1) == tensor::format("{} centre", rows[third]));
  }
  CHECK(place_of(0, 1, 1) == "middle centre");
  CHECK(place_of(1, 2, 2) == "top right");
  CHECK(place_of(2, 2, 2) == "bottom left");
  CHECK(place_of(4, 2, 3) == "bottom centre");
}

TEST_CASE("the photos' note says how many there are, and explains maps where there are some") {
  Report report = example();
  for (ReportModel& model : report.models) model.scores.images = 2000;
  CHECK(has(render_report(report), "The first 3 of 2,000. The log-probability"));
  CHECK(has(render_report(report), "Attention: bright is where the model looked"));
  for (ReportPhoto& photo : report.photos) photo.captions.erase(photo.captions.begin());
  for (ReportModel& model : report.models) model.scores.images = 3;
  const std::string page = render_report(report);
  CHECK_FALSE(has(page, "The first"));
  CHECK_FALSE(has(page, "Attention: bright"));
  CHECK_FALSE(has(page, "where a model looked"));
}
