#include "imgcap/data/augment.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tensor/error.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;

namespace {

const std::map<std::string, tests::ByteTensor>& goldens() {
  static const auto all = tests::read_byte_tensors(tests::source_dir() / "tests/golden/images.safetensors");
  return all;
}

// Runs `step` with the number in each golden's name.
int check_all(const std::string& prefix, const Image& from,
              const std::function<Image(const Image&, double)>& step) {
  int count = 0;
  for (const auto& [name, want] : goldens()) {
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    CAPTURE(name);
    CHECK(tests::difference(step(from, std::stod(name.substr(prefix.size()))), want) == "");
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("augmentation steps equal torchvision's on PIL images to the bit") {
  const Image photo = goldens().at("photo").image();
  CHECK(check_all("rotate/", photo, rotate) == 10);
  CHECK(check_all("brightness/", photo, adjust_brightness) == 6);
  CHECK(check_all("contrast/", photo, adjust_contrast) == 6);
  CHECK(check_all("saturation/", photo, adjust_saturation) == 6);
  CHECK(check_all("hue/", photo, adjust_hue) == 7);
  CHECK(check_all("hue_colors/", goldens().at("hue_colors").image(), adjust_hue) == 7);
}

TEST_CASE("quarter and half turns are counter-clockwise and lose nothing") {
  const auto grey = [](int64_t rows, int64_t columns, const std::vector<uint8_t>& shades) {
    Image image(rows, columns);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = shades[i / 3];
    return image;
  };
  const Image square = grey(3, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Image left = grey(3, 3, {3, 6, 9, 2, 5, 8, 1, 4, 7}), right = grey(3, 3, {7, 4, 1, 8, 5, 2, 9, 6, 3});
  for (const double degrees : {90.0, 450.0, -270.0}) CHECK(rotate(square, degrees).pixels == left.pixels);
  for (const double degrees : {270.0, -90.0, 630.0}) CHECK(rotate(square, degrees).pixels == right.pixels);
  for (const double degrees : {0.0, 360.0, -720.0}) CHECK(rotate(square, degrees).pixels == square.pixels);
  const Image wide = grey(2, 3, {1, 2, 3, 4, 5, 6});
  for (const double degrees : {180.0, -180.0, 540.0})
    CHECK(rotate(wide, degrees).pixels == grey(2, 3, {6, 5, 4, 3, 2, 1}).pixels);
  CHECK(rotate(wide, 360).pixels == wide.pixels);
}

TEST_CASE("crop and flip") {
  Image image(2, 3);
  for (size_t i = 0; i < 18; ++i) image.pixels[i] = static_cast<uint8_t>(i + 1);
  CHECK(crop(image, 1, 1, 1, 2).pixels == std::vector<uint8_t>{13, 14, 15, 16, 17, 18});
  CHECK(crop(image, -1, 2, 2, 2).pixels == std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 7, 8, 9, 0, 0, 0});
  CHECK(crop(image, 5, 5, 1, 1).pixels == std::vector<uint8_t>{0, 0, 0});
  CHECK(flip_horizontal(image).pixels[0] == 7);
  CHECK(flip_horizontal(flip_horizontal(image)).pixels == image.pixels);
  CHECK_THROWS_AS(crop(image, 0, 0, 0, 1), tensor::Error);
}

TEST_CASE("factors out of range are errors") {
  const Image image(2, 2);
  CHECK_THROWS_AS(adjust_brightness(image, -0.1), tensor::Error);
  CHECK_THROWS_AS(adjust_contrast(image, NAN), tensor::Error);
  CHECK_THROWS_AS(adjust_saturation(image, INFINITY), tensor::Error);
  CHECK_THROWS_AS(adjust_hue(image, 0.51), tensor::Error);
  CHECK_THROWS_AS(rotate(image, NAN), tensor::Error);
  CHECK_THROWS_AS(adjust_hue(image, -0.51), tensor::Error);
  CHECK_THROWS_AS(adjust_hue(image, NAN), tensor::Error);
  CHECK_NOTHROW(adjust_hue(image, 0.5));
  CHECK_NOTHROW(adjust_hue(image, -0.5));
  CHECK_NOTHROW(adjust_brightness(image, 0));
}

TEST_CASE("what the factors of the colours mean") {
  // Grey as in ITU-R 601: 0.299 r + 0.587 g + 0.114 b, rounded.
  Image image(1, 2);
  image.pixels = {200, 100, 40, 10, 150, 90};
  const uint8_t grey0 = 123 /* 59.8 + 58.7 + 4.56 */, grey1 = 101 /* 2.99 + 88.05 + 10.26 */;
  const auto pixels = [](const Image& changed) { return changed.pixels; };
  CHECK(pixels(adjust_brightness(image, 0)) == std::vector<uint8_t>(6, 0));
  CHECK(pixels(adjust_brightness(image, 1)) == image.pixels);
  CHECK(pixels(adjust_brightness(image, 0.5)) == std::vector<uint8_t>{100, 50, 20, 5, 75, 45});
  CHECK(pixels(adjust_brightness(image, 2)) == std::vector<uint8_t>{255, 200, 80, 20, 255, 180});
  CHECK(pixels(adjust_contrast(image, 0)) == std::vector<uint8_t>(6, (grey0 + grey1) / 2));
  CHECK(pixels(adjust_contrast(image, 2)) == std::vector<uint8_t>{255, 88, 0, 0, 188, 68});
  CHECK(pixels(adjust_saturation(image, 0)) ==
        std::vector<uint8_t>{grey0, grey0, grey0, grey1, grey1, grey1});
  CHECK(pixels(adjust_saturation(image, 2)) == std::vector<uint8_t>{255, 77, 0, 0, 199, 79});
}

TEST_CASE("plans are fixed by seed, epoch and index") {
  AugmentOptions always;
  always.probability = 1;
  const AugmentPlan base = plan_augmentation(always, 31, 2, 7);
  CHECK(plan_augmentation(always, 31, 2, 7) == base);
  // All of a plan's numbers change with each of the three.
  for (const AugmentPlan& other : {plan_augmentation(always, 31, 2, 8), plan_augmentation(always, 31, 3, 7),
                                   plan_augmentation(always, 32, 2, 7)}) {
    CHECK(other.degrees != base.degrees);
    CHECK(other.top != base.top);
    CHECK(other.hue != base.hue);
  }
}

TEST_CASE("the whole augmentation") {
  const Image photo = goldens().at("photo").image();
  AugmentOptions options;
  options.crop = 20;
  AugmentPlan plan;
  CHECK(augment(photo, options, plan).pixels == photo.pixels);  // apply is false
  plan.apply = plan.flip = true;
  plan.degrees = 3.25;
  plan.top = 0.999999, plan.left = 0;
  plan.brightness = 1.2, plan.contrast = 0.8, plan.saturation = 1.0371, plan.hue = 0.05;
  plan.order = {3, 1, 0, 2};
  Image want = crop(rotate(flip_horizontal(photo), 3.25), photo.height - 20, 0, 20, 20);
  want = adjust_saturation(adjust_brightness(adjust_contrast(adjust_hue(want, 0.05), 0.8), 1.2), 1.0371);
  CHECK(augment(photo, options, plan).pixels == want.pixels);

  // A picture smaller than the crop sits somewhere on black.
  options.crop = 110;
  plan = {};
  plan.apply = true;
  for (const double where : {0.0, 0.5, 0.999999}) {
    plan.top = plan.left = where;
    const Image padded = augment(photo, options, plan);
    CHECK(padded.height == 110);
    CHECK(padded.width == 110);
    int64_t total = 0, expected = 0;
    for (const uint8_t value : padded.pixels) total += value;
    // Nothing is lost; a hue shift of 0 still goes through 8-bit HSV, as in torchvision.
    for (const uint8_t value : adjust_hue(photo, 0).pixels) expected += value;
    CHECK(total == expected);
  }
}

TEST_CASE("the steps of the colours in any order, each with its own factor") {
  const Image photo = goldens().at("photo").image();
  AugmentPlan plan;
  plan.apply = true;
  plan.brightness = 0.8, plan.contrast = 1.2, plan.saturation = 0.913, plan.hue = -0.1;
  const std::array<std::function<Image(const Image&)>, 4> steps = {
      [](const Image& image) { return adjust_brightness(image, 0.8); },
      [](const Image& image) { return adjust_contrast(image, 1.2); },
      [](const Image& image) { return adjust_saturation(image, 0.913); },
      [](const Image& image) { return adjust_hue(image, -0.1); }};
  AugmentOptions options;
  options.crop = 0;
  for (const auto& order : std::vector<std::array<int, 4>>{{0, 1, 2, 3}, {2, 0, 3, 1}, {1, 3, 2, 0}}) {
    plan.order = order;
    Image want = photo;
    for (const int step : order) want = steps[static_cast<size_t>(step)](want);
    CHECK(augment(photo, options, plan).pixels == want.pixels);
  }
}

namespace {

// A grey picture that says in each pixel where it was: shades survive a hue shift of 0.
Image numbered(int64_t height, int64_t width) {
  Image image(height, width);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) image.row(y)[3 * x + c] = static_cast<uint8_t>(1 + (7 * y + x) % 255);
  return image;
}

}  // namespace

TEST_CASE("the crop can be in every place, and each takes an equal share of the dice") {
  AugmentOptions options;
  options.crop = 8;
  AugmentPlan plan;
  plan.apply = true;
  struct Case {
    int64_t height, width;
    double top, left;
    int64_t row, column;  // of the crop's corner
  };
  for (const Case& c : std::vector<Case>{
           // 11 rows: 4 places. 9 columns: 2.
           {11, 9, 0, 0, 0, 0},
           {11, 9, 0.2499, 0.4999, 0, 0},
           {11, 9, 0.25, 0.5, 1, 1},
           {11, 9, 0.5, 0.25, 2, 0},
           {11, 9, 0.75, 0.9999, 3, 1},
           {8, 8, 0, 0.9999, 0, 0},
           // 5 rows lack 3, which are added on both sides: 4 places, all with the whole picture in them.
           {5, 9, 0, 0, -3, 0},
           {5, 9, 0.2499, 0.5, -3, 1},
           {5, 9, 0.25, 0.5, -2, 1},
           {5, 9, 0.5, 0, -1, 0},
           {5, 9, 0.9999, 0, 0, 0},
           {11, 6, 0.25, 0.3333, 1, -2},
           {11, 6, 0.25, 0.3334, 1, -1},
           {11, 6, 0.25, 0.9999, 1, 0}}) {
    CAPTURE(c.height);
    CAPTURE(c.width);
    CAPTURE(c.top);
    CAPTURE(c.left);
    const Image photo = numbered(c.height, c.width);
    plan.top = c.top, plan.left = c.left;
    CHECK(augment(photo, options, plan).pixels == crop(photo, c.row, c.column, 8, 8).pixels);
  }
}

TEST_CASE("the part has its share of the area, is wider by the shape, and can be in every place") {
  AugmentOptions options;
  options.crop = 0;
  AugmentPlan plan;
  plan.apply = true;
  struct Case {
    double area, shape, top, left;
    int64_t height, width, row, column;
  };
  for (const Case& c :
       std::vector<Case>{// sides of sqrt(0.64) = 0.8: 48 of 60 rows in 13 places, 64 of 80 columns in 17
                         {0.64, 1, 0, 0, 48, 64, 0, 0},
                         {0.64, 1, 0.9999, 0.9999, 48, 64, 12, 16},
                         {0.64, 1, 0.5, 0.5, 48, 64, 6, 8},
                         {0.64, 1, 0.0769, 0.0588, 48, 64, 0, 0},
                         {0.64, 1, 0.0770, 0.0589, 48, 64, 1, 1},
                         // 60 sqrt(0.6 / (4/3)) = 40.25 and 80 sqrt(0.6 (4/3)) = 71.55
                         {0.6, 4.0 / 3, 0.5, 0.25, 40, 72, 10, 2},
                         {0.6, 4.0 / 3, 0.9999, 0.9999, 40, 72, 20, 8},
                         // 60 sqrt(0.8) = 53.67 and 80 sqrt(0.45) = 53.67
                         {0.6, 0.75, 0.5, 0.5, 54, 54, 3, 13},
                         // no side is longer than the picture's: 80 sqrt(1.2) and 60 sqrt(1.2) would be
                         {0.9, 4.0 / 3, 0.9999, 0.9999, 49, 80, 11, 0},
                         {0.9, 0.75, 0.9999, 0.9999, 60, 66, 0, 14},
                         {0.9999, 1, 0.9999, 0.9999, 60, 80, 0, 0}}) {
    CAPTURE(c.area);
    CAPTURE(c.shape);
    CAPTURE(c.top);
    const Image photo = numbered(60, 80);
    plan.area = c.area, plan.shape = c.shape, plan.top = c.top, plan.left = c.left;
    const Image part = augment(photo, options, plan);
    CHECK(part.height == c.height);
    CHECK(part.width == c.width);
    CHECK(part.pixels == crop(photo, c.row, c.column, c.height, c.width).pixels);
  }
  // Never less than a pixel.
  plan.area = 0.01, plan.shape = 1, plan.top = plan.left = 0;
  CHECK(augment(numbered(1, 2), options, plan).pixels == numbered(1, 1).pixels);
  // A whole picture is not cut.
  plan.area = 1;
  CHECK(augment(numbered(60, 80), options, plan).pixels == numbered(60, 80).pixels);
}
