#include <cstring>
#include <vector>

#include "tensor/convert.h"
#include "tensor/cpu/half_rows.h"
#include "tensor/cpu/strided.h"
#include "tensor/kernels.h"

namespace tensor::cpu {
namespace {

using internal::convert;
using internal::is_half_type;

// Whether there is a number that is subnormal as a float.
template <class From>
bool any_subnormal(const From* in, int64_t n) {
  int64_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<From, float>)
      found |= static_cast<int64_t>(internal::is_subnormal(in[i]));
    else
      found |= static_cast<int64_t>(internal::narrows_to_subnormal(in[i]));
  }
  return found != 0;
}

template <class To, class From>
void convert_run(To* out, const From* in, int64_t n) {
  if constexpr (std::is_same_v<To, float> && is_half_type<From>) return widen_row(out, in, n);
  if constexpr (is_half_type<To> && std::is_same_v<From, float>) return narrow_row(out, in, n);
  int64_t i = 0;
  if constexpr (std::is_floating_point_v<To> && std::is_floating_point_v<From>) {
    // The processor's conversion, which flushes subnormals, where there are none.
    constexpr int64_t kBlock = 64;
    for (; i + kBlock <= n; i += kBlock) {
      if (any_subnormal(in + i, kBlock)) {
        for (int64_t k = i; k < i + kBlock; ++k) out[k] = convert<To>(in[k]);
      } else {
        for (int64_t k = i; k < i + kBlock; ++k) out[k] = static_cast<To>(in[k]);
      }
    }
  }
  for (; i < n; ++i) out[i] = convert<To>(in[i]);
}

template <class To, class From>
void copy_elements(To* out, const From* in, const StridedLoop<2>& loop) {
  loop.for_each([&](const auto& offset, int64_t n, const auto& step) {
    To* o = out + offset[0];
    const From* x = in + offset[1];
    if (step[0] == 1 && step[1] == 1) {
      if constexpr (std::is_same_v<To, From>)
        std::memcpy(o, x, static_cast<size_t>(n) * sizeof(To));
      else
        convert_run(o, x, n);
    } else {
      for (int64_t i = 0; i < n; ++i) o[i * step[0]] = convert<To>(x[i * step[1]]);
    }
  });
}

}  // namespace

void copy(Tensor& out, const Tensor& x) {
  if (out.may_overlap(x)) {
    if (out.dtype() == x.dtype() && out.shape() == x.shape() && out.strides() == x.strides() &&
        out.offset() == x.offset())
      return;
    cpu::copy(out, x.clone());  // the source would change under the loop
    return;
  }
  const StridedLoop<2> loop(out.shape(), {out.strides(), broadcast_strides(x, out.shape())});
  dispatch_any(out.dtype(), "copy", [&]<class To>() {
    To* target = out.mutable_device_data<To>();
    dispatch_any(x.dtype(), "copy",
                 [&]<class From>() { copy_elements(target, x.device_data<From>(), loop); });
  });
}

void copy_pieces(Tensor& out, const std::vector<Tensor>& pieces) {
  std::byte* target = out.mutable_device_raw();
  for (const Tensor& piece : pieces) {
    if (piece.bytes() > 0) std::memcpy(target, piece.device_raw(), static_cast<size_t>(piece.bytes()));
    target += piece.bytes();
  }
}

void fill(Tensor& out, double value) {
  const StridedLoop<1> loop(out.shape(), {out.strides()});
  dispatch_any(out.dtype(), "fill", [&]<class T>() {
    T* target = out.mutable_device_data<T>();
    const T element = convert<T>(value);
    loop.for_each([&](const auto& offset, int64_t n, const auto& step) {
      for (int64_t i = 0; i < n; ++i) target[offset[0] + i * step[0]] = element;
    });
  });
}

}  // namespace tensor::cpu
