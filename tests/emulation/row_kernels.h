// Kernels that do nothing but join and add up the values of rows of threads (tensor/cuda/device.h).
#pragma once

#include <cstdint>

#include "tensor/cuda/launch.h"

namespace tests {

// Thread i has the map v -> a[i] v + b[i] of whole numbers, for which the order matters. joined[i]: where the
// maps of its row, one after the other from left to right, take 1; and 1000 times the sum of their b.
void launch_join_rows(const tensor::cuda::Launch& launch, int64_t* joined, const int64_t* a,
                      const int64_t* b);
// sums[i]: x of the row's threads up to thread i; totals[i]: of all of them; and 1000 times how
// many threads of the row are not behind thread i.
void launch_scan_rows(const tensor::cuda::Launch& launch, int64_t* sums, int64_t* totals, const int64_t* x);

}  // namespace tests
