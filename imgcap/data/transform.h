// What is done to a picture before an encoder sees it; kept in checkpoints beside the weights it belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "imgcap/data/image.h"

namespace imgcap {

// The pixel range in which `mean` and `stddev` are given.
enum class PixelScale {
  unit,  // x / 255, as torchvision's ToTensor
  byte,  // x, 0..255
};

// value[c][y][x] = (scaled pixel - mean[c]) / stddev[c], after a resize to height x width.
struct Preprocessing {
  int64_t height = 224, width = 224;
  PixelScale scale = PixelScale::unit;
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f}, stddev{0.229f, 0.224f, 0.225f};

  bool operator==(const Preprocessing&) const = default;
};

// torchvision's ImageNet normalisation (the defaults above).
Preprocessing imagenet_preprocessing();
// EfficientNet-Lite: (x - 127) / 128.
Preprocessing efficientnet_lite_preprocessing();

// One line of JSON; floats come back to the bit.
std::string to_json(const Preprocessing& preprocessing);
// Strict: every key once, nothing unknown, sides 1..8192, finite numbers, positive deviations. `name` stands
// in front of every error text. Errors: data.
Preprocessing preprocessing_from_json(const std::string& text, const std::string& name);

// Writes 3 x height x width floats to `out`; resizes (resize.h) unless the picture has that size already.
// Computed in float32 in torchvision's order, so that values are its own to the bit.
void to_chw(const Image& image, const Preprocessing& preprocessing, float* out);

}  // namespace imgcap
