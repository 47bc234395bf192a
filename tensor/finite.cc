#include "tensor/finite.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <type_traits>

#include "tensor/thread_pool.h"

namespace tensor {
namespace {

constexpr int64_t kPiece = 4096;  // elements: half of a first-level cache in f32
constexpr int64_t kGrain = 64 * kPiece;

// Of at most kPiece elements. All bits of the exponent are set: as integers, nothing is rounded or flushed,
// and -ffast-math means nothing. The sum is as wide as an element, so that a vector of them is added at once.
template <class Bits, Bits exponent>
int64_t count(const std::byte* data, int64_t n) {
  Bits found = 0;
  for (int64_t i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, data + static_cast<size_t>(i) * sizeof(Bits), sizeof(Bits));
    found = static_cast<Bits>(found + ((bits & exponent) == exponent ? 1 : 0));
  }
  return static_cast<int64_t>(found);
}

int64_t count(const std::byte* data, int64_t n, DType dtype) {
  switch (dtype) {
    case DType::f32:
      return count<uint32_t, 0x7f800000u>(data, n);
    case DType::f64:
      return count<uint64_t, 0x7ff0000000000000u>(data, n);
    case DType::f16:
      return count<uint16_t, 0x7c00u>(data, n);
    case DType::bf16:
      return count<uint16_t, 0x7f80u>(data, n);
    default:
      return 0;
  }
}

}  // namespace

int64_t count_non_finite(const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return 0;
  const Tensor dense = tensor.to(Device::cpu()).contiguous();
  const std::byte* data = dense.raw();
  const int64_t size = size_of(dense.dtype());
  std::atomic<int64_t> found = 0;
  parallel_for(dense.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kPiece)
      found += count(data + i * size, std::min(kPiece, end - i), dense.dtype());
  });
  return found;
}

bool copy_finite(Tensor& to, const Tensor& from) {
  const bool alike = to.dtype() == from.dtype() && to.shape() == from.shape() && to.is_contiguous() &&
                     from.is_contiguous() && to.device().is_cpu() && from.device().is_cpu();
  if (!alike || !is_floating(to.dtype())) {
    to.copy_(from);
    return count_non_finite(to) == 0;
  }
  const std::byte* source = from.raw();
  std::byte* target = to.mutable_raw();
  const int64_t size = size_of(to.dtype());
  std::atomic<bool> finite = true;
  parallel_for(to.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kPiece) {
      const int64_t n = std::min(kPiece, end - i);
      std::memcpy(target + i * size, source + i * size, static_cast<size_t>(n * size));
      if (count(target + i * size, n, to.dtype()) > 0) finite = false;
    }
  });
  return finite;
}

}  // namespace tensor
