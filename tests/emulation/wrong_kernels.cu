#include "tests/emulation/wrong_kernels.h"

#include "tensor/cuda/device.h"

namespace tests {
namespace {

using tensor::cuda::Pack;

__global__ void reverse(float* out, const float* x, bool right) {
  IMGCAP_SHARED(float, tile, [256]);
  const unsigned t = threadIdx.x;
  tile[t] = x[blockIdx.x * blockDim.x + t];
  if (right) __syncthreads();
  out[blockIdx.x * blockDim.x + t] = tile[blockDim.x - 1 - t];
}

__global__ void twice(float* out, const float* x, int64_t n, bool right) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (right ? i < n : i <= n) out[i] = 2 * x[i];
}

__global__ void sum_of_64(float* out, const float* x, bool right) {
  IMGCAP_SHARED(float, sums, [64]);
  const unsigned t = threadIdx.x;
  sums[t] = x[blockIdx.x * 64 + t];
  for (unsigned half = 32; half > 0; half /= 2) {
    __syncthreads();
    if (right ? t < half : t + half < 64) sums[t] += sums[t + half];
  }
  if (t == 0) out[blockIdx.x] = sums[0];
}

__global__ void last_block(float* out, bool right) {
  if (!right || blockIdx.x == 0) out[0] = static_cast<float>(blockIdx.x);
}

__global__ void copy_packs(float* out, const float* x) {
  const auto i = static_cast<int64_t>(threadIdx.x) * 4;
  *reinterpret_cast<Pack<float, 4>*>(out + i) = *reinterpret_cast<const Pack<float, 4>*>(x + i);
}

__global__ void first_of(float* out, const float* x) { *out = *x; }

__global__ void count_up(float* out, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) out[i] = static_cast<float>(i);
}

__global__ void mark(unsigned char* bytes, int64_t stride, bool right) {
  const int64_t at =
      right ? blockIdx.x * stride : static_cast<int64_t>(blockIdx.x * static_cast<unsigned>(stride));
  bytes[at] = 1;
}

__global__ void half_waits(float* out, bool right) {
  if (right || threadIdx.x < blockDim.x / 2) __syncthreads();
  out[threadIdx.x] = static_cast<float>(threadIdx.x);
}

__global__ void next_lane(float* out, bool right) {
  if (!right && threadIdx.x >= 16) return;
  const int next = static_cast<int>((threadIdx.x + 1) % 32);
  out[threadIdx.x] = __shfl_sync(0xffffffffu, static_cast<float>(threadIdx.x), next);
}

__global__ void one_more(float* out, unsigned more) {
  IMGCAP_SHARED(float, behind, [32]);
  IMGCAP_SHARED(float, numbers, [32]);
  behind[threadIdx.x] = 0;
  float* all = numbers;
  all[threadIdx.x + more] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = all[threadIdx.x + more] + behind[threadIdx.x];
}

__global__ void read_shared(float* out, bool right) {
  IMGCAP_SHARED(float, numbers, [32]);
  if (right) numbers[threadIdx.x] = 1;
  out[threadIdx.x] = numbers[threadIdx.x];
}

__global__ void by_address(float* out, bool right) {
  IMGCAP_SHARED(float*, addresses, [32]);
  IMGCAP_SHARED(float, values, [32]);
  volatile float own = static_cast<float>(threadIdx.x);
  addresses[threadIdx.x] = const_cast<float*>(&own);
  values[threadIdx.x] = own;
  __syncthreads();
  const unsigned next = (threadIdx.x + 1) % 32;
  out[threadIdx.x] = right ? values[next] : *addresses[next];
}

__global__ void next_in_warp(float* out, bool right) {
  IMGCAP_SHARED(float, numbers, [64]);
  const unsigned t = threadIdx.x;
  numbers[t] = static_cast<float>(t);
  if (right) __syncwarp();
  out[t] = numbers[t / 32 * 32 + (t + 1) % 32];
}

__global__ void count_threads(int* out, bool right) {
  if (right)
    atomicAdd(out, 1);
  else
    *out += 1;
}

__global__ void product(int64_t* out, int factor, bool right) {
  *out = right ? int64_t{factor} * factor : int64_t{factor * factor};
}

__global__ void spread_first(float* out, const float* x) { out[blockIdx.x * blockDim.x + threadIdx.x] = *x; }

__global__ void take_turn(int* turns, int* next) { turns[threadIdx.x] = atomicAdd(next, 1); }

__global__ void sum_of_dynamic(int* out, int64_t count) {
  int* ones = tensor::cuda::dynamic_shared<int>();
  int sum = 0;
  for (int64_t i = 0; i < count; ++i) ones[i] = 1;
  for (int64_t i = 0; i < count; ++i) sum += ones[i];
  *out = sum;
}

template <int N>
struct Large {
  char bytes[N];
};
template <int N>
__global__ void take(Large<N>) {}

__device__ int depth_of(int* out, int depth) {
  volatile int here[256];
  here[depth % 256] = depth;
  const int below = depth < 0 ? 0 : depth_of(out, depth + 1);
  return below + here[depth % 256];
}
__global__ void recurse(int* out, bool right) { *out = right ? 0 : depth_of(out, 1); }

template <class... P, class... A>
cudaError_t run(const WrongKernels& how, void (*kernel)(P...), const A&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = how.launch.grid;
  config.blockDim = how.launch.block;
  config.dynamicSmemBytes = static_cast<size_t>(how.launch.dynamic_shared);
  config.stream = how.stream;
  tensor::cuda::note_launch(how.launch);
  return cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

}  // namespace

cudaError_t WrongKernels::missing_barrier(float* out, const float* x) {
  return run(*this, reverse, out, x, right);
}
cudaError_t WrongKernels::wrong_bound(float* out, const float* x, int64_t n) {
  return run(*this, twice, out, x, n, right);
}
cudaError_t WrongKernels::race_in_shared(float* out, const float* x) {
  return run(*this, sum_of_64, out, x, right);
}
cudaError_t WrongKernels::race_between_blocks(float* out) { return run(*this, last_block, out, right); }
cudaError_t WrongKernels::misaligned(float* out, const float* x) {
  return run(*this, copy_packs, out, right ? x : x + 1);
}
cudaError_t WrongKernels::first(float* out, const float* x) { return run(*this, first_of, out, x); }
cudaError_t WrongKernels::unwritten(float* out, int64_t n) {
  return run(*this, count_up, out, right ? n : n - 1);
}
cudaError_t WrongKernels::index_of_32_bits(unsigned char* bytes, int64_t stride) {
  return run(*this, mark, bytes, stride, right);
}
cudaError_t WrongKernels::divergent_barrier(float* out) { return run(*this, half_waits, out, right); }
cudaError_t WrongKernels::absent_lane(float* out) { return run(*this, next_lane, out, right); }
cudaError_t WrongKernels::behind_shared(float* out) { return run(*this, one_more, out, right ? 0 : 1); }
cudaError_t WrongKernels::unwritten_shared(float* out) { return run(*this, read_shared, out, right); }
cudaError_t WrongKernels::other_stack(float* out) { return run(*this, by_address, out, right); }
cudaError_t WrongKernels::missing_syncwarp(float* out) { return run(*this, next_in_warp, out, right); }
cudaError_t WrongKernels::race_of_sums(int* out) { return run(*this, count_threads, out, right); }
cudaError_t WrongKernels::first_by_all(float* out, const float* x) {
  return run(*this, spread_first, out, x);
}
cudaError_t WrongKernels::turns(int* turns, int* next) { return run(*this, take_turn, turns, next); }
cudaError_t WrongKernels::sum_dynamic(int* out) const {
  return run(*this, sum_of_dynamic, out, launch.dynamic_shared / static_cast<int64_t>(sizeof(int)));
}
cudaError_t WrongKernels::dynamic_shared(int64_t bytes) const {
  return cudaFuncSetAttribute(sum_of_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(bytes));
}
cudaError_t WrongKernels::large_argument() {
  return right ? run(*this, take<4096>, Large<4096>{}) : run(*this, take<4100>, Large<4100>{});
}
cudaError_t WrongKernels::recursion(int* out) { return run(*this, recurse, out, right); }
cudaError_t WrongKernels::overflow(int64_t* out, int factor) {
  return run(*this, product, out, factor, right);
}

}  // namespace tests
