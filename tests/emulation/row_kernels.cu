#include "tests/emulation/row_kernels.h"

#include "tensor/cuda/device.h"

namespace tests {
namespace {

struct LinearMap {
  int64_t a, b;

  __device__ LinearMap from_lane(int mask) const {
    return {tensor::cuda::from_lane(a, mask), tensor::cuda::from_lane(b, mask)};
  }
};

struct Then {
  __device__ LinearMap operator()(const LinearMap& first, const LinearMap& second) const {
    return {second.a * first.a, second.a * first.b + second.b};
  }
};

__device__ int64_t thread_of_grid() {
  return (static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}

// Twice, so that a second call must not write over what a thread still reads for the first.
__global__ void join_rows(int64_t* joined, const int64_t* a, const int64_t* b) {
  const int64_t i = thread_of_grid();
  const LinearMap mine{a[i], b[i]}, all = tensor::cuda::join_row(mine, Then{});
  const LinearMap again = tensor::cuda::join_row(LinearMap{1, mine.b}, Then{});
  joined[i] = all.a + all.b + 1000 * again.b;
}

__global__ void scan_rows(int64_t* sums, int64_t* totals, const int64_t* x) {
  const int64_t i = thread_of_grid();
  int64_t total = 0, count = 0;
  sums[i] = tensor::cuda::scan_row(x[i], total);
  totals[i] = total + 1000 * tensor::cuda::scan_row(int64_t{1}, count);
}

}  // namespace

void launch_join_rows(const tensor::cuda::Launch& launch, int64_t* joined, const int64_t* a,
                      const int64_t* b) {
  tensor::cuda::launch(launch, join_rows, joined, a, b);
}
void launch_scan_rows(const tensor::cuda::Launch& launch, int64_t* sums, int64_t* totals, const int64_t* x) {
  tensor::cuda::launch(launch, scan_rows, sums, totals, x);
}

}  // namespace tests
