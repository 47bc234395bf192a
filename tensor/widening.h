// How kernels written for f32 accept 16-bit floats: kernels.h puts this between a kernel and its caller, so
// that no kernel body knows of it. Inputs are converted to f32 (exactly), the kernel runs in f32, and every
// 16-bit output is rounded once, at the end. Kernels that have 16-bit code of their own (a library's bf16
// product) are declared AS_IS there and convert for themselves what they do not take.
#pragma once

#include <tuple>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace tensor::internal {

inline bool has_half(const Tensor& t) { return t.defined() && is_half(t.dtype()); }
inline bool has_half(const std::vector<Tensor>& tensors) {
  for (const Tensor& t : tensors)
    if (has_half(t)) return true;
  return false;
}
template <class T>
bool has_half(const T&) {
  return false;
}

inline Tensor widen(const Tensor& t) { return has_half(t) ? t.to(DType::f32) : t; }

// What a kernel gets in place of an argument of type P: most are passed on.
template <class P>
struct Widened {
  P value;
  P get() { return value; }
  void round() {}
};

template <>
struct Widened<const Tensor&> {
  explicit Widened(const Tensor& t) : value(widen(t)) {}
  Tensor value;
  const Tensor& get() { return value; }
  void round() {}
};

template <>
struct Widened<const std::vector<Tensor>&> {
  explicit Widened(const std::vector<Tensor>& tensors) {
    for (const Tensor& t : tensors) value.push_back(widen(t));
  }
  std::vector<Tensor> value;
  const std::vector<Tensor>& get() { return value; }
  void round() {}
};

// An output. Its former values go in, too: some kernels add to them. It may be one of the inputs: those have
// f32 copies of their own.
template <>
struct Widened<Tensor&> {
  explicit Widened(Tensor& t) : target(t), narrow(has_half(t)) {
    if (narrow) value = widen(t);
  }
  Tensor& target;
  bool narrow;
  Tensor value;
  Tensor& get() { return narrow ? value : target; }
  void round() {
    if (narrow) target.copy_(value);
  }
};

template <class... P>
struct WideningCall {
  void (*kernel)(P...);
  void operator()(P... arguments) const {
    if (!(has_half(arguments) || ...)) return kernel(arguments...);
    std::tuple<Widened<P>...> wide{Widened<P>{arguments}...};
    std::apply(
        [&](auto&... w) {
          kernel(w.get()...);
          (w.round(), ...);
        },
        wide);
  }
};

template <class... P>
WideningCall<P...> widening(void (*kernel)(P...)) {
  return {kernel};
}

}  // namespace tensor::internal
