#include "imgcap/data/transform.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "imgcap/data/resize.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using nlohmann::json;
using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

constexpr int64_t kMaxSide = 8192;
constexpr const char* kResize = "bilinear-antialias";

json parse_object(const std::string& text, const std::string& name) {
  // The library keeps one of two equal keys without a word: catch them on the way.
  std::set<std::string> seen;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    check(depth <= 2, ErrorKind::data, "{}: preprocessing: the JSON is nested too deeply", name);
    if (event == json::parse_event_t::key) {
      const auto key = value.get<std::string>();
      check(seen.insert(key).second, ErrorKind::data, "{}: preprocessing: the key \"{}\" comes twice", name,
            printable(key));
    }
    return true;
  };
  json object;
  try {
    object = json::parse(text, watch);
  } catch (const json::exception& error) {
    fail(ErrorKind::data, "{}: preprocessing: not valid JSON: {}", name, error.what());
  }
  check(object.is_object(), ErrorKind::data, "{}: preprocessing: the JSON has to be an object", name);
  static const std::set<std::string> known{"height", "width", "resize", "scale", "mean", "stddev"};
  for (const auto& [key, value] : object.items())
    check(known.count(key) == 1, ErrorKind::data, "{}: preprocessing: unknown key \"{}\"", name,
          printable(key));
  for (const std::string& key : known)
    check(object.contains(key), ErrorKind::data, "{}: preprocessing: the key \"{}\" is missing", name, key);
  return object;
}

int64_t side(const json& object, const char* key, const std::string& name) {
  const json& value = object.at(key);
  const bool good =
      value.is_number_unsigned() && value.get<uint64_t>() >= 1 && value.get<uint64_t>() <= kMaxSide;
  check(good, ErrorKind::data, "{}: preprocessing: \"{}\" has to be an integer in 1..{}", name, key,
        kMaxSide);
  return value.get<int64_t>();
}

std::array<float, 3> channels(const json& object, const char* key, bool positive, const std::string& name) {
  const json& values = object.at(key);
  std::array<float, 3> result{};
  bool good = values.is_array() && values.size() == 3;
  for (size_t c = 0; good && c < 3; ++c) {
    good = values[c].is_number() && std::abs(values[c].get<double>()) <= 1e6;
    if (!good) break;
    result[c] = values[c].get<float>();
    good = !positive || result[c] >= 1e-6f;
  }
  check(good, ErrorKind::data, "{}: preprocessing: \"{}\" has to be three {}numbers of sensible size", name,
        key, positive ? "positive " : "");
  return result;
}

}  // namespace

Preprocessing imagenet_preprocessing() { return {}; }

Preprocessing efficientnet_lite_preprocessing() {
  Preprocessing result;
  result.scale = PixelScale::byte;
  result.mean = {127, 127, 127};
  result.stddev = {128, 128, 128};
  return result;
}

std::string to_json(const Preprocessing& p) {
  // fmt prints the shortest text that reads back as the same float; the JSON library would print it as a
  // double.
  return fmt::format(
      R"({{"height":{},"width":{},"resize":"{}","scale":"{}","mean":[{},{},{}],"stddev":[{},{},{}]}})",
      p.height, p.width, kResize, p.scale == PixelScale::unit ? "unit" : "byte", p.mean[0], p.mean[1],
      p.mean[2], p.stddev[0], p.stddev[1], p.stddev[2]);
}

Preprocessing preprocessing_from_json(const std::string& text, const std::string& name) {
  const json object = parse_object(text, name);
  Preprocessing result;
  result.height = side(object, "height", name);
  result.width = side(object, "width", name);
  check(object.at("resize") == kResize, ErrorKind::data, "{}: preprocessing: \"resize\" has to be \"{}\"",
        name, kResize);
  const json& scale = object.at("scale");
  check(scale == "unit" || scale == "byte", ErrorKind::data,
        "{}: preprocessing: \"scale\" has to be \"unit\" or \"byte\"", name);
  result.scale = scale == "unit" ? PixelScale::unit : PixelScale::byte;
  result.mean = channels(object, "mean", false, name);
  result.stddev = channels(object, "stddev", true, name);
  return result;
}

void to_chw(const Image& image, const Preprocessing& preprocessing, float* out) {
  if (image.height != preprocessing.height || image.width != preprocessing.width) {
    to_chw(resize(image, preprocessing.height, preprocessing.width), preprocessing, out);
    return;
  }
  const int64_t count = image.height * image.width;
  for (size_t c = 0; c < 3; ++c) {
    float table[256];
    for (int i = 0; i < 256; ++i) {
      const float x = static_cast<float>(i);
      table[i] = ((preprocessing.scale == PixelScale::unit ? x / 255.0f : x) - preprocessing.mean[c]) /
                 preprocessing.stddev[c];
    }
    const uint8_t* from = image.pixels.data() + c;
    float* to = out + static_cast<int64_t>(c) * count;
    for (int64_t i = 0; i < count; ++i) to[i] = table[from[i * 3]];
  }
}

}  // namespace imgcap
