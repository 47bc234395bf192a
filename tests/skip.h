// How a test says that it cannot run here: `SKIP("IMGCAP_DATA is not set");` ends its case.
#pragma once

#include <string>

namespace tests {

// Why the running case is skipped; empty: it is not. main.cc reports it and counts the case as neither passed
// nor failed.
inline std::string skip_reason;

inline void skip(const std::string& reason) {
  if (skip_reason.empty()) skip_reason = reason;
}

}  // namespace tests

// The same reason has to be the same text everywhere: cases are counted by it.
#define SKIP(reason)       \
  do {                     \
    ::tests::skip(reason); \
    return;                \
  } while (false)
