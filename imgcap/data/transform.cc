#include "imgcap/data/transform.h"

#include <cmath>
#include <set>

#include "imgcap/data/resize.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

constexpr int64_t kMaxSide = 8192;
constexpr const char* kResize = "bilinear-antialias";

Json parse_object(const std::string& text, const std::string& name) {
  const Json object = Json::parse(text, name + ": preprocessing", 2);
  check(object.is_object(), ErrorKind::data, "{}: preprocessing: the JSON has to be an object", name);
  static const std::set<std::string> known{"height", "width", "resize", "scale", "mean", "stddev"};
  std::set<std::string> seen;
  for (const std::string& key : object.keys()) {
    check(seen.insert(key).second, ErrorKind::data, "{}: preprocessing: the key \"{}\" comes twice", name,
          printable(key));
    check(known.count(key) == 1, ErrorKind::data, "{}: preprocessing: unknown key \"{}\"", name,
          printable(key));
  }
  for (const std::string& key : known)
    check(object.find(key) != nullptr, ErrorKind::data, "{}: preprocessing: the key \"{}\" is missing", name,
          key);
  return object;
}

int64_t side(const Json& object, const char* key, const std::string& name) {
  const Json& value = object.at(key);
  const bool good = value.is_integer() && value.as_double() >= 1 && value.as_double() <= kMaxSide;
  check(good, ErrorKind::data, "{}: preprocessing: \"{}\" has to be an integer in 1..{}", name, key,
        kMaxSide);
  return value.as_int64();
}

std::array<float, 3> channels(const Json& object, const char* key, bool positive, const std::string& name) {
  const Json& values = object.at(key);
  std::array<float, 3> result{};
  bool good = values.is_array() && values.size() == 3;
  for (size_t c = 0; good && c < 3; ++c) {
    const Json& value = values.items()[c];
    good = value.is_number() && std::abs(value.as_double()) <= 1e6;
    if (!good) break;
    result[c] = static_cast<float>(value.as_double());
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
  return Json::object({{"height", p.height},
                       {"width", p.width},
                       {"resize", kResize},
                       {"scale", p.scale == PixelScale::unit ? "unit" : "byte"},
                       {"mean", p.mean},
                       {"stddev", p.stddev}})
      .dump();
}

Preprocessing preprocessing_from_json(const std::string& text, const std::string& name) {
  const Json object = parse_object(text, name);
  Preprocessing result;
  result.height = side(object, "height", name);
  result.width = side(object, "width", name);
  check(object.at("resize") == kResize, ErrorKind::data, "{}: preprocessing: \"resize\" has to be \"{}\"",
        name, kResize);
  const Json& scale = object.at("scale");
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
