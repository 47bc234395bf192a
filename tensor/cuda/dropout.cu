#include <algorithm>
#include <cmath>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/kernels.h"
#include "tensor/philox.h"

namespace tensor::cuda {
namespace {

constexpr int kWords = 4;  // of a Philox block

// A thread has the elements of one Philox block, in packs of P. Bytes: x, out and the origin. FLOPs: 1 an element.
template <int P, class T>
__global__ void drop(T* out, const T* x, int64_t n, Computed<T> scale, uint32_t threshold,
                     const int64_t* origin, PhiloxPlace place) {
  const int64_t block = thread_index(), first = block * kWords;
  const auto [seed, offset] = place_of(origin, place);
  const PhiloxBlock words = philox(seed, offset + static_cast<uint64_t>(block));
  for (int word = 0; word < kWords && first + word < n; word += P) {
    auto pack = *reinterpret_cast<const Pack<T, P>*>(x + first + word);
    for (int k = 0; k < P; ++k) {
      const Computed<T> value = static_cast<Computed<T>>(pack.at[k]) * scale;
      pack.at[k] = static_cast<T>(words.words[word + k] >> 8 >= threshold ? value : 0);
    }
    *reinterpret_cast<Pack<T, P>*>(out + first + word) = pack;
  }
}

}  // namespace

void dropout(Tensor& out, const Tensor& x, DropoutMask mask) {
  const int64_t n = x.numel();
  if (n == 0) return;
  const double p = mask.p;
  const PhiloxPlace place{mask.seed, mask.offset};
  const int64_t* origin = mask.origin.defined() ? mask.origin.device_data<int64_t>() : nullptr;
  // uniform_float(word) >= p, in whole numbers.
  const auto threshold = static_cast<uint32_t>(std::ceil(p * 0x1p24));
  const Launch config{.op = "dropout",
                      .device = out.device(),
                      .grid = grid_of((n + kWords - 1) / kWords),
                      .block = kThreads,
                      .flops = static_cast<double>(n),
                      .bytes = 2.0 * static_cast<double>(x.bytes()) + (origin != nullptr ? 16.0 : 0.0)};
  dispatch_floating(x.dtype(), "dropout", [&]<class T>() {
    constexpr int P = std::min(kPack<T>, kWords);
    const T* source = x.device_data<T>();
    T* target = out.mutable_device_data<T>();
    const auto scale = static_cast<Computed<T>>(p < 1 ? 1 / (1 - p) : 0);
    if (n % P == 0 && aligned(source) && aligned(target))
      launch(config, drop<P, T>, target, source, n, scale, threshold, origin, place);
    else
      launch(config, drop<1, T>, target, source, n, scale, threshold, origin, place);
  });
}

}  // namespace tensor::cuda
