// What a refusal says, in any room.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tensor/error.h"

namespace tests {

// The sentence with which f() refuses, by an error of this kind; "taken" where it does not.
template <class F>
std::string refused(F&& f, tensor::ErrorKind kind = tensor::ErrorKind::argument) {
  try {
    f();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "taken";
}

}  // namespace tests
