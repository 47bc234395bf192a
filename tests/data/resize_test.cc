#include "imgcap/data/resize.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "imgcap/data/transform.h"
#include "tensor/error.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;
using tests::contains;
using tests::error_of;

namespace {

const std::map<std::string, tests::ByteTensor>& goldens() {
  static const auto all = tests::read_byte_tensors(tests::source_dir() / "tests/golden/images.safetensors");
  return all;
}

}  // namespace

TEST_CASE("resize equals Pillow's to the bit") {
  const Image photo = goldens().at("photo").image();
  int count = 0;
  for (const auto& [name, want] : goldens()) {
    if (name.compare(0, 7, "resize/") != 0) continue;
    CAPTURE(name);
    CHECK(tests::difference(resize(photo, want.shape[0], want.shape[1]), want) == "");
    ++count;
  }
  CHECK(count == 13);
  CHECK(tests::difference(resize(goldens().at("dot").image(), 4, 5), goldens().at("dot_resized")) == "");
  CHECK(resize(photo, photo.height, photo.width).pixels == photo.pixels);
}

TEST_CASE("resize keeps white white, and refuses sides below 1") {
  Image white(300, 7);
  for (uint8_t& value : white.pixels) value = 255;
  for (const auto& [h, w] : {std::pair{224, 224}, {1, 1}, {299, 8}, {13, 5}})
    for (const uint8_t value : resize(white, h, w).pixels) REQUIRE(value == 255);
  CHECK_THROWS_AS(resize(white, 0, 5), tensor::Error);
  CHECK_THROWS_AS(resize(white, 5, -1), tensor::Error);
  CHECK_THROWS_AS(resize(Image(), 5, 5), tensor::Error);
}

TEST_CASE("to_chw: torchvision's and EfficientNet-Lite's numbers") {
  Image image(1, 2);
  image.pixels = {0, 127, 255, 10, 200, 128};
  Preprocessing p = imagenet_preprocessing();
  p.height = 1, p.width = 2;
  std::vector<float> out(6);
  to_chw(image, p, out.data());
  // transforms.Normalize(mean, std)(transforms.ToTensor()(image)) of torchvision: float32, divided, not
  // multiplied.
  const float want[6] = {(0.0f - 0.485f) / 0.229f,
                         (10.0f / 255.0f - 0.485f) / 0.229f,
                         (127.0f / 255.0f - 0.456f) / 0.224f,
                         (200.0f / 255.0f - 0.456f) / 0.224f,
                         (1.0f - 0.406f) / 0.225f,
                         (128.0f / 255.0f - 0.406f) / 0.225f};
  for (size_t i = 0; i < 6; ++i) CHECK(out[i] == want[i]);
  CHECK(out[0] == doctest::Approx(-2.1179039478).epsilon(1e-7));

  p = efficientnet_lite_preprocessing();
  p.height = 1, p.width = 2;
  to_chw(image, p, out.data());
  CHECK(out == std::vector<float>{-127.0f / 128, -117.0f / 128, 0.0f, 73.0f / 128, 1.0f, 1.0f / 128});

  p.height = 2, p.width = 3;
  out.assign(18, -9);
  to_chw(image, p, out.data());
  std::vector<float> same(18);
  to_chw(resize(image, 2, 3), p, same.data());
  CHECK(out == same);
}

TEST_CASE("to_chw: a channel has its own mean and deviation, and one wrong side is enough to resize") {
  Image image(2, 3);
  for (size_t i = 0; i < 18; ++i) image.pixels[i] = static_cast<uint8_t>(10 * i);
  Preprocessing p;
  p.height = 2, p.width = 3, p.scale = PixelScale::byte;
  p.mean = {1, 2, 3}, p.stddev = {2, 4, 8};
  std::vector<float> out(18);
  to_chw(image, p, out.data());
  for (size_t pixel = 0; pixel < 6; ++pixel)
    for (size_t c = 0; c < 3; ++c)
      CHECK(out[c * 6 + pixel] == (static_cast<float>(30 * pixel + 10 * c) - p.mean[c]) / p.stddev[c]);

  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{2, 5}, {4, 3}}) {
    p.height = height, p.width = width;
    const Image resized = resize(image, height, width);
    std::vector<float> wide(static_cast<size_t>(3 * height * width), -9), same(wide.size());
    to_chw(image, p, wide.data());
    to_chw(resized, p, same.data());
    CHECK(wide == same);
  }
}

TEST_CASE("the presets are 224 x 224, and torchvision's and EfficientNet-Lite's constants") {
  const Preprocessing imagenet = imagenet_preprocessing(), lite = efficientnet_lite_preprocessing();
  for (const Preprocessing& p : {imagenet, lite}) {
    CHECK(p.height == 224);
    CHECK(p.width == 224);
  }
  CHECK(imagenet.scale == PixelScale::unit);
  CHECK(imagenet.mean == std::array<float, 3>{0.485f, 0.456f, 0.406f});
  CHECK(imagenet.stddev == std::array<float, 3>{0.229f, 0.224f, 0.225f});
  CHECK(lite.scale == PixelScale::byte);
  CHECK(lite.mean == std::array<float, 3>{127, 127, 127});
  CHECK(lite.stddev == std::array<float, 3>{128, 128, 128});
}

TEST_CASE("preprocessing goes through JSON and back") {
  for (const Preprocessing& p : {imagenet_preprocessing(), efficientnet_lite_preprocessing()})
    CHECK(preprocessing_from_json(to_json(p), "x") == p);
  CHECK(
      to_json(imagenet_preprocessing()) ==
      R"({"height":224,"width":224,"resize":"bilinear-antialias","scale":"unit","mean":[0.485,0.456,0.406],)"
      R"("stddev":[0.229,0.224,0.225]})");
  // Every value by itself, and floats to the bit.
  Preprocessing odd;
  odd.height = 1, odd.width = 8192, odd.scale = PixelScale::byte;
  odd.mean = {-1e6f, 1.0f / 3, 1e6f}, odd.stddev = {1e-6f, 0.1f, 123456.7f};
  CHECK(preprocessing_from_json(to_json(odd), "x") == odd);
  const std::string good = to_json(imagenet_preprocessing());
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return error_of([&] { preprocessing_from_json(text, "c.safetensors"); });
  };
  CHECK(contains(replaced("\"height\":224", "\"height\":0"), "c.safetensors: preprocessing: \"height\""));
  CHECK(contains(replaced("\"height\":224", "\"height\":-3"), "\"height\" has to be an integer in 1..8192"));
  CHECK(contains(replaced("\"height\":224", "\"height\":1e9"), "\"height\""));
  CHECK(contains(replaced("\"width\":224", "\"width\":99999999999999999999"), "\"width\""));
  CHECK(contains(replaced("\"width\":224", "\"height\":224"), "\"height\" comes twice"));
  CHECK(contains(replaced("\"width\":224,", ""), "\"width\" is missing"));
  CHECK(contains(replaced("\"width\"", "\"wid\\u0007\""), "unknown key \"wid\\x07\""));
  CHECK(contains(replaced("\"width\"", "\"widht\""), "unknown key \"widht\""));
  CHECK(replaced("\"height\":224", "\"height\":8192") == "");
  CHECK(contains(replaced("\"height\":224", "\"height\":8193"), "\"height\""));
  CHECK(replaced("\"width\":224", "\"width\":1") == "");
  CHECK(contains(replaced("\"width\":224", "\"width\":8193"), "\"width\""));
  CHECK(contains(replaced("\"width\":224", "\"width\":0"), "\"width\""));
  CHECK(contains(replaced("\"width\":224", "\"width\":224.0"), "\"width\""));
  CHECK(contains(replaced("\"width\":224", "\"width\":\"224\""), "\"width\""));
  CHECK(contains(replaced("\"unit\"", "1"), "\"scale\""));
  CHECK(contains(replaced("\"unit\"", "\"int8\""), "\"scale\""));
  CHECK(contains(replaced("bilinear", "nearest"), "\"resize\""));
  CHECK(contains(replaced("0.229", "0"), "\"stddev\" has to be three positive numbers"));
  CHECK(contains(replaced("0.225", "-0.225"), "\"stddev\""));
  CHECK(contains(replaced("0.224", "9e-7"), "\"stddev\""));
  CHECK(replaced("0.224", "1e-6") == "");
  CHECK(contains(replaced("0.224", "1000001"), "\"stddev\""));
  CHECK(contains(replaced("0.224", "\"0.224\""), "\"stddev\""));
  CHECK(contains(replaced("0.225]", "0.225,1]"), "\"stddev\""));
  CHECK(contains(replaced("[0.229,0.224,0.225]", "0.229"), "\"stddev\""));
  CHECK(replaced("0.406", "-1000000") == "");
  CHECK(replaced("0.406", "0") == "");
  CHECK(contains(replaced("0.406", "-1000001"), "\"mean\" has to be three numbers"));
  CHECK(contains(replaced("0.406", "1000001"), "\"mean\""));
  CHECK(contains(replaced("0.406", "true"), "\"mean\""));
  CHECK(contains(replaced("0.229", "1e999"), "preprocessing"));
  CHECK(contains(replaced("0.485,", ""), "\"mean\""));
  CHECK(contains(replaced("0.485", "[[[[1]]]]"),
                 "not JSON: more than 2 arrays and objects inside one another"));
  CHECK(contains(replaced("}", ""), "preprocessing: not JSON: line 1"));
  CHECK(contains(error_of([] { preprocessing_from_json("[]", "x"); }), "has to be an object"));
}
