// Training, validation and test parts of a data set, drawn from a seed: the same on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace imgcap {

// No image is in two parts, so a caption of a validation image was never trained on.
struct ImageSplit {
  std::vector<std::string> train, val, test;  // image names
};

// 80 % / 10 % / 10 % of the images (each name once, in any order: the split does not depend on it). From
// three images on, val and test have one at least. Errors: data (no images).
ImageSplit split_by_image(std::vector<std::string> images, uint64_t seed);

// May put captions of one image into both parts.
struct CaptionSplit {
  std::vector<size_t> train, val;  // positions of captions
};

// floor(0.9 count) captions to train on and the others. Errors: data (count is 0).
CaptionSplit split_by_caption(size_t count, uint64_t seed);

}  // namespace imgcap
