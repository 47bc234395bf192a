// The check that every metric makes first, and how metrics share their images out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/error.h"

namespace imgcap {

inline void check_captions(std::span<const std::string> candidates,
                           std::span<const std::vector<std::string>> references, const char* op) {
  using tensor::ErrorKind;
  tensor::check(!candidates.empty(), ErrorKind::argument, "{}: no candidates", op);
  tensor::check(candidates.size() == references.size(), ErrorKind::argument,
                "{}: {} candidates, but references for {} images", op, candidates.size(), references.size());
  for (size_t i = 0; i < references.size(); ++i)
    tensor::check(!references[i].empty(), ErrorKind::argument, "{}: candidate {} has no references", op, i);
}

// Of work that takes microseconds an image.
inline constexpr int64_t kImagesPerTask = 64;

// Of at least one value, added in their order.
inline double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace imgcap
