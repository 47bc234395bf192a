// Photos on their way to an encoder.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "imgcap/training/encode.h"

namespace imgcap {

struct PhotoBatch {
  std::vector<std::string> names;  // of those that could be read, in their order
  tensor::Tensor pictures;         // (names, 3, h, w) f32, as the encoder wants them
  std::vector<std::pair<std::string, std::string>> skipped, warned;  // photo, reason
  std::map<std::string, int64_t> unreadable;                         // of skipped ones: the file's bytes
};

// Reads, decodes, changes and resizes the given photos of the source. Where there are many processors, several
// at once; with `all_threads` as many as there are, since the encoder does not use them.
PhotoBatch read_photos(const ImageSource& source, std::span<const int64_t> which,
                       const Augmentation& augmentation, const Preprocessing& preprocessing,
                       bool all_threads = false);

}  // namespace imgcap
