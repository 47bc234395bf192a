// Sizes of blocks that allocators keep and hand out again.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace tensor::internal {

// Four classes a power of two, so at most a quarter of a block is unused; multiples of `alignment`, a power of two.
inline int64_t size_class(int64_t bytes, int64_t alignment) {
  if (bytes <= alignment) return alignment;
  const int64_t power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(bytes)));
  const int64_t step = std::max(power / 4, alignment);
  return (bytes + step - 1) / step * step;
}

}  // namespace tensor::internal
