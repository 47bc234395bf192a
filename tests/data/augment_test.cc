#include "imgcap/data/augment.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>

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
  AugmentOptions options;
  options.hue = 0.6;
  CHECK_THROWS_AS(plan_augmentation(options, 1, 0, 0), tensor::Error);
  CHECK_THROWS_AS(plan_augmentation({}, 1, -1, 0), tensor::Error);
  CHECK_THROWS_AS(plan_augmentation({}, 1, 0, int64_t{1} << 40), tensor::Error);
}

TEST_CASE("plans are fixed by seed, epoch and index, and spread as they should") {
  const AugmentOptions options;
  CHECK(plan_augmentation(options, 31, 2, 7) == plan_augmentation(options, 31, 2, 7));
  AugmentOptions always = options;
  always.probability = 1;
  const AugmentPlan base = plan_augmentation(always, 31, 2, 7);
  CHECK_FALSE(plan_augmentation(always, 31, 2, 8) == base);
  CHECK_FALSE(plan_augmentation(always, 31, 3, 7) == base);
  CHECK_FALSE(plan_augmentation(always, 32, 2, 7) == base);

  const int n = 20000;
  double applied = 0, flipped = 0, degrees = 0, squares = 0, hue = 0, first[4] = {};
  for (int i = 0; i < n; ++i) {
    const AugmentPlan plan = plan_augmentation(options, 5, i / 1000, i % 1000);
    if (!plan.apply) continue;
    applied += 1;
    flipped += plan.flip;
    degrees += plan.degrees;
    squares += plan.degrees * plan.degrees;
    hue += plan.hue;
    first[plan.order[0]] += 1;
    REQUIRE(std::abs(plan.degrees) <= 15);
    REQUIRE(std::abs(plan.hue) <= 0.1);
    for (const double factor : {plan.brightness, plan.contrast, plan.saturation})
      REQUIRE(std::abs(factor - 1) <= 0.2);
  }
  // Four standard deviations of each.
  CHECK(std::abs(applied / n - 0.8) < 0.0114);
  CHECK(std::abs(flipped / applied - 0.5) < 0.0159);
  CHECK(std::abs(degrees / applied) < 0.275);
  CHECK(std::abs(squares / applied - 75) < 2.13);
  CHECK(std::abs(hue / applied) < 0.00183);
  for (const double count : first) CHECK(std::abs(count / applied - 0.25) < 0.0137);
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

TEST_CASE("the mild augmentation takes a large part and turns nothing") {
  const Image photo = goldens().at("photo").image();
  const AugmentOptions options = mild_augmentation();
  const double pixels = static_cast<double>(photo.height * photo.width);
  const int n = 2000;
  double flipped = 0, area = 0, least = 1, most = 0;
  for (int i = 0; i < n; ++i) {
    const AugmentPlan plan = plan_augmentation(options, 9, i % 5, i);
    REQUIRE(plan.apply);
    REQUIRE(plan.degrees == 0);
    REQUIRE(plan.area >= 0.6);
    REQUIRE(plan.area < 1);
    REQUIRE(std::abs(std::log(plan.shape)) <= std::log(4.0 / 3));
    flipped += plan.flip;
    area += plan.area;
    if (i >= 50) continue;
    const Image part = augment(photo, options, plan);
    REQUIRE(part.height <= photo.height);
    REQUIRE(part.width <= photo.width);
    const double share = static_cast<double>(part.height * part.width) / pixels;
    least = std::min(least, share);
    most = std::max(most, share);
    // A side that would be longer than the picture's is the picture's; a pixel is lost to rounding.
    CHECK(share <= plan.area * 1.03 + 0.02);
  }
  CHECK(std::abs(flipped / n - 0.5) < 0.045);  // four standard deviations
  CHECK(std::abs(area / n - 0.8) < 0.0104);
  CHECK(least > 0.5);
  CHECK(most > 0.85);

  AugmentPlan plan;
  plan.apply = true;
  plan.area = 0.64, plan.shape = 1;
  plan.top = 0.999999, plan.left = 0;
  AugmentOptions still = options;
  const auto side = [](int64_t size) { return std::llround(0.8 * static_cast<double>(size)); };
  const int64_t height = side(photo.height), width = side(photo.width);
  const Image want = adjust_hue(crop(photo, photo.height - height, 0, height, width), 0);
  CHECK(augment(photo, still, plan).pixels == want.pixels);
  still.least_area = 0;
  CHECK_THROWS_AS(plan_augmentation(still, 1, 0, 0), tensor::Error);
  still.least_area = 1.1;
  CHECK_THROWS_AS(plan_augmentation(still, 1, 0, 0), tensor::Error);
}
