// Sliding windows as kernels see them. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tensor::cuda {

// a / b and what is left, for a and b that are not negative.
struct Division {
  int64_t quotient, rest;
};

// `narrow`: both fit 32 bits, where a division takes a fraction of the time.
__device__ inline Division divide(int64_t a, int64_t b, bool narrow) {
  if (narrow) {
    const auto x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b), quotient = x / y;
    return {quotient, x - quotient * y};
  }
  const int64_t quotient = a / b;
  return {quotient, a - quotient * b};
}

// One axis: output o sees, by its tap t, the input o stride - pad + t dilation, where there is one.
struct WindowAxis {
  int64_t in, out, taps, stride, pad, dilation;

  // The input of a tap, which may lie outside.
  __device__ int64_t input(int64_t o, int64_t tap) const { return o * stride - pad + tap * dilation; }
  __device__ bool has(int64_t i) const { return i >= 0 && i < in; }

  // The output that sees input i by a tap; -1 where none does.
  __device__ int64_t output(int64_t i, int64_t tap) const {
    const int64_t steps = i + pad - tap * dilation;
    if (steps < 0) return -1;
    if (stride == 1) return steps < out ? steps : -1;
    const Division at = divide(steps, stride, steps <= UINT32_MAX);
    return at.rest == 0 && at.quotient < out ? at.quotient : -1;
  }

  // How many pairs of an output and a tap have an input.
  int64_t pairs() const {
    int64_t count = 0;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t first = t * dilation - pad;  // the input of output 0
      const int64_t begin = first >= 0 ? 0 : (-first + stride - 1) / stride;
      const int64_t end = first >= in ? 0 : std::min(out, (in - 1 - first) / stride + 1);
      count += std::max<int64_t>(0, end - begin);
    }
    return count;
  }

  // How many inputs some output sees.
  int64_t seen() const {
    if (dilation == 1 && stride <= taps)
      return std::max<int64_t>(0, std::min(in, (out - 1) * stride + taps - pad) - std::max<int64_t>(0, -pad));
    std::vector<bool> is_seen(static_cast<size_t>(in));
    for (int64_t o = 0; o < out; ++o)
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t i = o * stride - pad + t * dilation;
        if (i >= 0 && i < in) is_seen[static_cast<size_t>(i)] = true;
      }
    return std::count(is_seen.begin(), is_seen.end(), true);
  }
};

// Both axes.
struct Windows {
  WindowAxis y, x;

  IMGCAP_HOST_DEVICE int64_t taps() const { return y.taps * x.taps; }
  IMGCAP_HOST_DEVICE int64_t inputs() const { return y.in * x.in; }     // of a plane
  IMGCAP_HOST_DEVICE int64_t outputs() const { return y.out * x.out; }  // of a plane
  double pairs() const { return static_cast<double>(y.pairs()) * static_cast<double>(x.pairs()); }
  double seen() const { return static_cast<double>(y.seen()) * static_cast<double>(x.seen()); }
};

}  // namespace tensor::cuda
