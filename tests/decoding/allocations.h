// How often memory was asked for, by anyone in this program: by `new` (every container and every tensor's
// handle) and from the tensors' allocator.
#pragma once

#include <cstdint>

namespace tests {

struct Allocations {
  int64_t news = 0, blocks = 0;
  bool operator==(const Allocations&) const = default;
};

Allocations allocations();  // so far

}  // namespace tests
