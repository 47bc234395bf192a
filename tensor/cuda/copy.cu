#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/convert.h"
#include "tensor/cuda/bits.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/driver/transfer.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/strided.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// As many elements as the larger type has in 16 bytes.
template <class To, class From>
constexpr int kPerThread = std::min(kPack<To>, kPack<From>);

// Reads and writes packs: n elements without gaps, aligned to theirs.
template <class To, class From>
__global__ void convert_packs(To* out, const From* in, int64_t n) {
  constexpr int kCount = kPerThread<To, From>;
  const int64_t first = thread_index() * kCount;
  if (first + kCount <= n) {
    const auto x = *reinterpret_cast<const Pack<From, kCount>*>(in + first);
    Pack<To, kCount> y;
    for (int i = 0; i < kCount; ++i) y.at[i] = internal::convert<To>(x.at[i]);
    *reinterpret_cast<Pack<To, kCount>*>(out + first) = y;
  } else {
    for (int64_t i = first; i < n; ++i) out[i] = internal::convert<To>(in[i]);
  }
}

template <class To, class From>
__global__ void copy_strided(To* out, const From* in, Strided<2> elements) {
  const int64_t i = thread_index();
  if (i >= elements.numel) return;
  const Offsets<2> offsets = elements.offsets(i);
  out[offsets.at[0]] = internal::convert<To>(in[offsets.at[1]]);
}

// Reads each element of x and writes each of out once.
template <class To, class From>
void copy_elements(Device device, To* out, const From* in, const Strided<2>& elements) {
  Launch how{.op = "copy",
             .device = device,
             .block = kThreads,
             .bytes = static_cast<double>(elements.numel) * sizeof(To) +
                      static_cast<double>(elements.distinct(1)) * sizeof(From)};
  if constexpr (!std::is_same_v<To, From>) {
    constexpr int kCount = kPerThread<To, From>;
    if (elements.contiguous() && aligned(out, kCount * sizeof(To)) && aligned(in, kCount * sizeof(From))) {
      how.grid = grid_of((elements.numel + kCount - 1) / kCount);
      return launch(how, convert_packs<To, From>, out, in, elements.numel);
    }
  }
  how.grid = grid_of(elements.numel);
  launch(how, copy_strided<To, From>, out, in, elements);
}

// Elements of one type, as what has as many bits.
void copy_bits(Device device, std::byte* out, const std::byte* in, DType type, const Strided<2>& elements) {
  if (elements.contiguous()) return copy_within(device, out, in, elements.numel * size_of(type));
  dispatch_bits(type, [&]<class Bits>() {
    copy_elements(device, reinterpret_cast<Bits*>(out), reinterpret_cast<const Bits*>(in), elements);
  });
}

void copy_on_device(Tensor& out, const Tensor& x) {
  if (out.may_overlap(x)) {
    if (out.dtype() == x.dtype() && out.shape() == x.shape() && out.strides() == x.strides() &&
        out.offset() == x.offset())
      return;
    return out.copy_(x.clone());  // the source would change under the kernel
  }
  const Strided<2> elements(out.shape(), {out.strides(), broadcast_strides(x, out.shape())});
  std::byte* target = out.mutable_device_raw();
  if (elements.numel == 0) return;
  if (out.dtype() == x.dtype()) return copy_bits(out.device(), target, x.device_raw(), out.dtype(), elements);
  dispatch_any(out.dtype(), "copy", [&]<class To>() {
    dispatch_any(x.dtype(), "copy", [&]<class From>() {
      if constexpr (!std::is_same_v<To, From>)
        copy_elements(out.device(), reinterpret_cast<To*>(target), x.device_data<From>(), elements);
    });
  });
}

// --- between the host and devices, or two devices

// Without the repetitions of an expanded tensor, which broadcasts to the same.
Tensor without_repetitions(Tensor x) {
  for (int d = 0; d < x.rank(); ++d)
    if (x.strides()[d] == 0 && x.size(d) > 1) x = x.slice(d, 0, 1);
  return x;
}

void send_up(Tensor& target, std::span<const HostBytes> sources) {
  const bool fresh = target.version() == 0;  // nobody has written to it, so nobody has read it
  std::byte* to = target.mutable_device_raw();
  if (target.bytes() == 0) return;
  upload(target.device(), to, sources, fresh ? to - target.offset() * size_of(target.dtype()) : nullptr);
}

// Both contiguous, of one type and shape.
void send(Tensor& target, const Tensor& source) {
  const std::byte* from = source.device_raw();
  const HostBytes here{from, source.bytes()};
  if (source.device().is_cpu()) return send_up(target, {&here, 1});
  std::byte* to = target.mutable_device_raw();
  if (source.bytes() == 0) return;
  if (target.device().is_cpu()) return download(source.device(), to, from, source.bytes());
  copy_between(target.device(), to, source.device(), from, source.bytes());
}

// What crosses is contiguous and in the smaller of the two types.
void copy_across(Tensor& out, const Tensor& x) {
  const DType type = size_of(out.dtype()) < size_of(x.dtype()) ? out.dtype() : x.dtype();
  const Tensor source = without_repetitions(x).to(type).contiguous();
  if (out.dtype() == type && out.shape() == source.shape() && out.is_contiguous()) return send(out, source);
  Tensor arrived = Tensor::empty(source.shape(), type, out.device());
  send(arrived, source);
  out.copy_(arrived);
}

}  // namespace

void copy(Tensor& out, const Tensor& x) {
  if (out.device() == x.device())
    copy_on_device(out, x);
  else
    copy_across(out, x);
}

void copy_pieces(Tensor& out, const std::vector<Tensor>& pieces) {
  std::vector<HostBytes> sources;
  for (const Tensor& piece : pieces) sources.push_back({piece.device_raw(), piece.bytes()});
  send_up(out, sources);
}

}  // namespace tensor::cuda
