// The cells of adaptive pooling, for host and device code.
#pragma once

#include <cstdint>

#include "tensor/host_device.h"

namespace tensor::internal {

// Output cell i of `out` has the inputs [floor(i in / out), ceil((i + 1) in / out)). The cells that input i is in are a
// Cell, too, with the sizes exchanged.
struct AdaptiveCell {
  int64_t begin, end;

  IMGCAP_HOST_DEVICE AdaptiveCell(int64_t i, int64_t in, int64_t out)
      : begin(i * in / out), end(((i + 1) * in + out - 1) / out) {}
  IMGCAP_HOST_DEVICE int64_t size() const { return end - begin; }
};

}  // namespace tensor::internal
