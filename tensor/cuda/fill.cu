#include <cstdint>

#include "tensor/convert.h"
#include "tensor/cuda/bits.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/strided.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// Writes packs: n elements without gaps, aligned to theirs.
template <class T>
__global__ void fill_packs(T* out, T value, int64_t n) {
  const int64_t first = thread_index() * kPack<T>;
  if (first + kPack<T> <= n) {
    Pack<T, kPack<T>> pack;
    for (int i = 0; i < kPack<T>; ++i) pack.at[i] = value;
    *reinterpret_cast<Pack<T, kPack<T>>*>(out + first) = pack;
  } else {
    for (int64_t i = first; i < n; ++i) out[i] = value;
  }
}

template <class T>
__global__ void fill_strided(T* out, T value, Strided<1> elements) {
  const int64_t i = thread_index();
  if (i < elements.numel) out[elements.offsets(i).at[0]] = value;
}

// Writes each element once.
template <class T>
void fill_elements(Device device, T* out, T value, const Strided<1>& elements) {
  Launch how{.op = "fill",
             .device = device,
             .block = kThreads,
             .bytes = static_cast<double>(elements.numel) * sizeof(T)};
  if (elements.contiguous() && aligned(out)) {
    how.grid = grid_of((elements.numel + kPack<T> - 1) / kPack<T>);
    return launch(how, fill_packs<T>, out, value, elements.numel);
  }
  how.grid = grid_of(elements.numel);
  launch(how, fill_strided<T>, out, value, elements);
}

}  // namespace

void fill(Tensor& out, double value) {
  const Strided<1> elements(out.shape(), {out.strides()});
  std::byte* target = out.mutable_device_raw();
  if (elements.numel == 0) return;
  dispatch_any(out.dtype(), "fill", [&]<class T>() {
    const T element = internal::convert<T>(value);
    dispatch_bits(out.dtype(), [&]<class Bits>() {
      if constexpr (sizeof(Bits) == sizeof(T))
        fill_elements(out.device(), reinterpret_cast<Bits*>(target), internal::bits_as<Bits>(element),
                      elements);
    });
  });
}

}  // namespace tensor::cuda
