// How kernels written for f32 accept 16-bit floats, so that no kernel body knows of them: inputs are
// converted to f32 (exactly), the kernel runs in f32, and every 16-bit output is rounded once, at the end.
// kernel_types.h says for which kernels.
#pragma once

#include <tuple>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace tensor::internal {

// Arguments of a kernel in a struct that lists its tensors (kernel_options.h).
template <class T>
concept ArgumentStruct = requires(T& argument) {
  argument.outputs();
  argument.inputs();
};

// f(tensor) for every tensor of a kernel's argument: a tensor, several, a struct that lists its own, or an
// object made of tensors. Others have none.
template <class T, class F>
void for_each_tensor(T& argument, F& f) {
  using Value = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Value, Tensor>) {
    f(argument);
  } else if constexpr (std::is_same_v<Value, std::vector<Tensor>>) {
    for (const Tensor& t : argument) f(t);
  } else if constexpr (ArgumentStruct<T>) {
    const auto visit = [&f](const auto&... listed) { (for_each_tensor(listed, f), ...); };
    std::apply(visit, argument.outputs());
    std::apply(visit, argument.inputs());
    if constexpr (requires { argument.operands(); }) std::apply(visit, argument.operands());
  } else if constexpr (std::is_pointer_v<Value>) {
    if (argument != nullptr) for_each_tensor(*argument, f);
  } else if constexpr (requires { argument.for_each_tensor(f); }) {
    argument.for_each_tensor(f);
  }
}

inline bool is_half(const Tensor& t) { return t.defined() && tensor::is_half(t.dtype()); }

// Whether one of the tensors that it is shown has 16-bit floats.
struct AnyHalf {
  bool any = false;

  void operator()(const Tensor& t) { any = any || is_half(t); }
};

inline Tensor widen(const Tensor& t) { return is_half(t) ? t.to(DType::f32) : t; }
inline std::vector<Tensor> widen(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> wide;
  for (const Tensor& t : tensors) wide.push_back(widen(t));
  return wide;
}

// Rounds what a kernel wrote into the 16-bit tensor that it stands for.
inline void round_into(Tensor& target, const Tensor& wide) {
  if (is_half(target)) target.copy_(wide);
}
inline void round_into(std::vector<Tensor>& targets, const std::vector<Tensor>& wide) {
  for (size_t i = 0; i < targets.size(); ++i) round_into(targets[i], wide[i]);
}

// What a kernel gets in place of an argument of type P. An output's former values go in, too: some kernels
// add to them. It may be one of the inputs: those have f32 copies of their own.
template <class P>
struct Widened {
  using Value = std::remove_cvref_t<P>;
  static constexpr bool is_list = std::is_same_v<Value, Tensor> || std::is_same_v<Value, std::vector<Tensor>>;
  static constexpr bool is_output = is_list && !std::is_const_v<std::remove_reference_t<P>>;

  P target;
  std::conditional_t<is_list || ArgumentStruct<Value>, Value, char> value{};

  explicit Widened(P argument) : target(argument) {
    if constexpr (is_list) {
      value = widen(target);
    } else if constexpr (ArgumentStruct<Value>) {
      value = target;
      const auto widen_all = [](auto&... listed) { ((listed = widen(listed)), ...); };
      std::apply(widen_all, value.outputs());
      std::apply(widen_all, value.inputs());
    }
  }
  auto& get() {
    if constexpr (is_list || ArgumentStruct<Value>)
      return value;
    else
      return target;
  }
  void round() {
    if constexpr (is_output) {
      round_into(target, value);
    } else if constexpr (ArgumentStruct<Value>) {
      const auto targets = target.outputs();
      const auto wide = value.outputs();
      [&]<size_t... I>(std::index_sequence<I...>) {
        (round_into(std::get<I>(targets), std::get<I>(wide)), ...);
      }
      (std::make_index_sequence<std::tuple_size_v<decltype(targets)>>());
    }
  }
};

}  // namespace tensor::internal
