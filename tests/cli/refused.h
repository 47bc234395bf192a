// What a refusal looks like.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tensor/error.h"
#include "tests/cli/program.h"

namespace tests {

// Code 2, and a sentence on stderr that has `why` in it.
inline void check_refused(const Result& result, const std::string& why) {
  CAPTURE(result.err);
  CHECK(result.code == 2);
  CHECK(has(result.err, why));
}

// The sentence with which a part of the program refuses, by an error of this kind.
template <class F>
std::string refused(F&& f, tensor::ErrorKind kind) {
  try {
    f();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  FAIL("it is taken");
  return "";
}

}  // namespace tests
