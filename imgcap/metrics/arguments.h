// The check that every metric makes first.
#pragma once

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

}  // namespace imgcap
