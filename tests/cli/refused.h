// What a refusal looks like.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tests/cli/program.h"
#include "tests/refused.h"

namespace tests {

// Code 2, and a sentence on stderr that has `why` in it.
inline void check_refused(const Result& result, const std::string& why) {
  CAPTURE(result.err);
  CHECK(result.code == 2);
  CHECK(has(result.err, why));
}

}  // namespace tests
