#include <cstring>

#include "tensor/cpu/strided.h"
#include "tensor/kernels.h"

namespace tensor::cpu {
namespace {

template <class T>
constexpr bool is_half = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>)
    return value;
  else if constexpr (is_half<From>)
    return convert<To>(static_cast<float>(value));
  else if constexpr (is_half<To>)
    return To(static_cast<float>(value));
  else if constexpr (std::is_same_v<To, bool>)
    return value != From(0);
  else
    return static_cast<To>(value);
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
        for (int64_t i = 0; i < n; ++i) o[i] = convert<To>(x[i]);
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
  check(x.rank() <= out.rank(), ErrorKind::shape, "copy: {} into {}", describe(x), describe(out));
  const StridedLoop<2> loop(out.shape(), {out.strides(), broadcast_strides(x, out.shape())});
  dispatch_any(out.dtype(), "copy", [&]<class To>() {
    To* target = out.mutable_data<To>();
    dispatch_any(x.dtype(), "copy", [&]<class From>() { copy_elements(target, x.data<From>(), loop); });
  });
}

void fill(Tensor& out, double value) {
  const StridedLoop<1> loop(out.shape(), {out.strides()});
  dispatch_any(out.dtype(), "fill", [&]<class T>() {
    T* target = out.mutable_data<T>();
    const T element = convert<T>(value);
    loop.for_each([&](const auto& offset, int64_t n, const auto& step) {
      for (int64_t i = 0; i < n; ++i) target[offset[0] + i * step[0]] = element;
    });
  });
}

}  // namespace tensor::cpu
