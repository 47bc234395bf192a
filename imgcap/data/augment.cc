#include "imgcap/data/augment.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numbers>
#include <string>
#include <utility>

#include "imgcap/data/exact.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;

void check_factor(const char* op, double factor) {
  check(std::isfinite(factor) && factor >= 0, ErrorKind::argument, "{}: the factor {} has to be 0 or more",
        op, factor);
}

// Rounded to 15 decimals as PIL does, so that cos(90 degrees) is 0.
double decimals15(double value) {
  const std::string text = tensor::format("{:.15f}", value);
  double result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

int grey(const uint8_t* p) { return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16; }

// from + factor * (to - from) in float32, as PIL's blend; products are tabulated, so that none is fused with
// the sum.
class Blend {
 public:
  explicit Blend(double factor) : inside_(factor <= 1) {
    const auto alpha = static_cast<float>(factor);
    for (int i = 0; i < 511; ++i) product_[i] = alpha * static_cast<float>(i - 255);
  }
  uint8_t operator()(int from, int to) const {
    const float value = static_cast<float>(from) + product_[to - from + 255];
    return static_cast<uint8_t>(inside_ ? value : std::clamp(value, 0.0f, 255.0f));
  }

 private:
  float product_[511];
  bool inside_;
};

Image blend_with_constant(const Image& image, int from, double factor) {
  const Blend blend(factor);
  uint8_t table[256];
  for (int i = 0; i < 256; ++i) table[i] = blend(from, i);
  Image out = image;
  for (uint8_t& value : out.pixels) value = table[value];
  return out;
}

struct Hsv {
  int h, s, v;
};

// Hue, saturation and value in bytes; h = 255 is one turn. Types as in PIL: they decide the roundings.
Hsv to_hsv(int r, int g, int b) {
  const int high = std::max({r, g, b}), low = std::min({r, g, b});
  if (high == low) return {0, 0, high};
  const auto range = static_cast<float>(high - low);
  const float s = range / static_cast<float>(high);
  const float rc = static_cast<float>(high - r) / range, gc = static_cast<float>(high - g) / range,
              bc = static_cast<float>(high - b) / range;
  float h;
  if (r == high) {
    h = bc - gc;
  } else if (g == high) {
    h = static_cast<float>(2.0 + static_cast<double>(rc) - static_cast<double>(bc));
  } else {
    h = static_cast<float>(4.0 + static_cast<double>(gc) - static_cast<double>(rc));
  }
  h = static_cast<float>(std::fmod(static_cast<double>(h) / 6.0 + 1.0, 1.0));
  return {static_cast<int>(static_cast<double>(h) * 255.0), static_cast<int>(static_cast<double>(s) * 255.0),
          high};
}

void from_hsv(const Hsv& hsv, uint8_t* out) {
  const auto [h, s, v] = hsv;
  const double turn = static_cast<double>(h) * 6.0 / 255.0, value = v;
  const int sector = static_cast<int>(turn);
  const auto f = static_cast<float>(turn - static_cast<double>(sector));
  const auto fs = static_cast<float>(static_cast<double>(static_cast<float>(s)) / 255.0);
  const auto byte = [](double x) {
    return static_cast<uint8_t>(std::clamp(static_cast<int>(std::round(x)), 0, 255));
  };
  const float falling = fs * f;
  const double rising = rounded(static_cast<double>(fs) * (1.0 - static_cast<double>(f)));
  const uint8_t p = byte(value * (1.0 - static_cast<double>(fs)));
  const uint8_t q = byte(value * (1.0 - static_cast<double>(falling))), t = byte(value * (1.0 - rising));
  const auto top = static_cast<uint8_t>(v);
  const auto put = [out](uint8_t r, uint8_t g, uint8_t b) { out[0] = r, out[1] = g, out[2] = b; };
  switch (sector % 6) {
    case 0:
      return put(top, t, p);
    case 1:
      return put(q, top, p);
    case 2:
      return put(p, top, t);
    case 3:
      return put(p, q, top);
    case 4:
      return put(t, p, top);
    default:
      return put(top, p, q);
  }
}

// Numbers from blocks 0, 1, ... of a stream of its own.
struct Dice {
  uint64_t seed, stream, next = 0;
  double uniform() {
    const auto words = tensor::philox(seed, next++, stream);
    return static_cast<double>(((uint64_t{words[0]} << 32) | words[1]) >> 11) * 0x1p-53;
  }
  double between(double low, double high) { return low + (high - low) * uniform(); }
};

}  // namespace

Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  Image out(height, width);
  const int64_t first = std::max<int64_t>(left, 0), last = std::min(left + width, image.width);
  if (first >= last) return out;
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + height, image.height); ++y)
    std::memcpy(out.row(y - top) + (first - left) * 3, image.row(y) + first * 3,
                static_cast<size_t>(last - first) * 3);
  return out;
}

Image flip_horizontal(const Image& image) { return apply_orientation(image, 2); }

Image rotate(const Image& image, double degrees) {
  check(std::isfinite(degrees), ErrorKind::argument, "rotate: the angle {} is not finite", degrees);
  double turn = std::fmod(degrees, 360.0);
  if (turn < 0) turn += 360.0;
  if (turn == 0 || turn == 360.0) return image;
  if (turn == 180) return apply_orientation(image, 3);
  if (image.height == image.width && turn == 90) return apply_orientation(image, 8);
  if (image.height == image.width && turn == 270) return apply_orientation(image, 6);

  // Where an output pixel comes from: x' = a x + b y + c, y' = -b x + a y + d.
  const double angle = -turn * (std::numbers::pi / 180.0);
  const double a = decimals15(std::cos(angle)), b = decimals15(std::sin(angle));
  const double minus_b = decimals15(-std::sin(angle));
  const double cx = static_cast<double>(image.width) / 2, cy = static_cast<double>(image.height) / 2;
  const double c = rounded(a * -cx) + rounded(b * -cy) + cx,
               d = rounded(minus_b * -cx) + rounded(a * -cy) + cy;
  const auto fixed = [](double v) { return static_cast<int64_t>(std::floor(v * 65536.0 + 0.5)); };
  const int64_t step_a = fixed(a), step_b = fixed(b), step_minus_b = fixed(minus_b);
  int64_t row_x = fixed(c + a * 0.5 + b * 0.5), row_y = fixed(d + minus_b * 0.5 + a * 0.5);
  Image out(image.height, image.width);
  for (int64_t y = 0; y < out.height; ++y, row_x += step_b, row_y += step_a) {
    uint8_t* to = out.row(y);
    int64_t x = row_x, v = row_y;
    for (int64_t i = 0; i < out.width; ++i, to += 3, x += step_a, v += step_minus_b) {
      const int64_t from_x = x >> 16, from_y = v >> 16;
      if (from_x < 0 || from_x >= image.width || from_y < 0 || from_y >= image.height) continue;
      const uint8_t* from = image.row(from_y) + from_x * 3;
      to[0] = from[0], to[1] = from[1], to[2] = from[2];
    }
  }
  return out;
}

Image adjust_brightness(const Image& image, double factor) {
  check_factor("adjust_brightness", factor);
  return blend_with_constant(image, 0, factor);
}

Image adjust_contrast(const Image& image, double factor) {
  check_factor("adjust_contrast", factor);
  int64_t total = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) total += grey(image.pixels.data() + i);
  const double count = static_cast<double>(image.height * image.width);
  return blend_with_constant(image, static_cast<int>(static_cast<double>(total) / count + 0.5), factor);
}

Image adjust_saturation(const Image& image, double factor) {
  check_factor("adjust_saturation", factor);
  const Blend blend(factor);
  Image out = image;
  for (size_t i = 0; i < out.pixels.size(); i += 3) {
    uint8_t* p = out.pixels.data() + i;
    const int from = grey(p);
    for (int c = 0; c < 3; ++c) p[c] = blend(from, p[c]);
  }
  return out;
}

Image adjust_hue(const Image& image, double factor) {
  check(factor >= -0.5 && factor <= 0.5, ErrorKind::argument,
        "adjust_hue: the shift {} has to be in -0.5..0.5", factor);
  const int shift = static_cast<int>(factor * 255);
  Image out = image;
  for (size_t i = 0; i < out.pixels.size(); i += 3) {
    uint8_t* p = out.pixels.data() + i;
    Hsv hsv = to_hsv(p[0], p[1], p[2]);
    hsv.h = (hsv.h + shift) & 255;
    if (hsv.s == 0) {
      p[0] = p[1] = p[2] = static_cast<uint8_t>(hsv.v);
    } else {
      from_hsv(hsv, p);
    }
  }
  return out;
}

AugmentOptions mild_augmentation() {
  AugmentOptions options;
  options.probability = 1;
  options.degrees = 0;
  options.crop = 0;
  options.least_area = 0.6;
  options.hue = 0.02;
  return options;
}

AugmentPlan plan_augmentation(const AugmentOptions& options, uint64_t seed, int64_t epoch, int64_t index) {
  check(epoch >= 0 && epoch < int64_t{1} << 23 && index >= 0 && index < int64_t{1} << 40, ErrorKind::argument,
        "augment: epoch {} or index {} is out of range", epoch, index);
  check(options.hue >= 0 && options.hue <= 0.5 && options.brightness >= 0 && options.brightness <= 1 &&
            options.contrast >= 0 && options.contrast <= 1 && options.saturation >= 0 &&
            options.saturation <= 1 && options.crop >= 0 && std::isfinite(options.degrees) &&
            options.least_area > 0 && options.least_area <= 1,
        ErrorKind::argument,
        "augment: jitter has to be in 0..1 (hue 0..0.5), the crop 0 or more, the least area over 0 and at "
        "most 1");
  // Stream 0 belongs to tensor::Generator.
  Dice dice{seed, (static_cast<uint64_t>(epoch) + 1) << 40 | static_cast<uint64_t>(index)};
  AugmentPlan plan;
  plan.apply = dice.uniform() < options.probability;
  if (!plan.apply) return plan;
  plan.flip = dice.uniform() < options.flip;
  plan.degrees = dice.between(-options.degrees, options.degrees);
  plan.top = dice.uniform();
  plan.left = dice.uniform();
  for (size_t i = 3; i > 0; --i)
    std::swap(plan.order[i], plan.order[static_cast<size_t>(dice.uniform() * static_cast<double>(i + 1))]);
  plan.brightness = dice.between(1 - options.brightness, 1 + options.brightness);
  plan.contrast = dice.between(1 - options.contrast, 1 + options.contrast);
  plan.saturation = dice.between(1 - options.saturation, 1 + options.saturation);
  plan.hue = dice.between(-options.hue, options.hue);
  if (options.least_area == 1) return plan;
  plan.area = dice.between(options.least_area, 1);
  plan.shape = std::exp(dice.between(-std::log(4.0 / 3), std::log(4.0 / 3)));
  return plan;
}

Image augment(const Image& image, const AugmentOptions& options, const AugmentPlan& plan) {
  if (!plan.apply) return image;
  Image out = plan.flip ? flip_horizontal(image) : image;
  if (plan.degrees != 0) out = rotate(out, plan.degrees);
  if (options.crop > 0) {
    // Padded by what is missing on both sides, so size - side + 2 * missing + 1 places are possible.
    const auto place = [&](int64_t size, double where) {
      const int64_t missing = std::max<int64_t>(options.crop - size, 0);
      const int64_t places = size + 2 * missing - options.crop + 1;
      return static_cast<int64_t>(where * static_cast<double>(places)) - missing;
    };
    out = crop(out, place(out.height, plan.top), place(out.width, plan.left), options.crop, options.crop);
  }
  if (plan.area < 1) {
    const auto side = [](int64_t size, double share) {
      return std::clamp<int64_t>(std::llround(static_cast<double>(size) * std::sqrt(share)), 1, size);
    };
    const auto place = [](int64_t free, double where) {
      return static_cast<int64_t>(where * static_cast<double>(free + 1));
    };
    const int64_t height = side(out.height, plan.area / plan.shape),
                  width = side(out.width, plan.area * plan.shape);
    out = crop(out, place(out.height - height, plan.top), place(out.width - width, plan.left), height, width);
  }
  for (const int step : plan.order) {
    switch (step) {
      case 0:
        out = adjust_brightness(out, plan.brightness);
        break;
      case 1:
        out = adjust_contrast(out, plan.contrast);
        break;
      case 2:
        out = adjust_saturation(out, plan.saturation);
        break;
      default:
        out = adjust_hue(out, plan.hue);
        break;
    }
  }
  return out;
}

}  // namespace imgcap
