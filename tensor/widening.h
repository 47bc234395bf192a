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

// The types of the floats among the tensors that it is shown.
struct FloatTypes {
  DType type{};  // that of the first
  bool any = false, any_half = false, mixed = false;

  void operator()(const Tensor& t) {
    if (!t.defined() || !is_floating(t.dtype())) return;
    mixed = mixed || (any && t.dtype() != type);
    if (!any) type = t.dtype();
    any = true;
    any_half = any_half || tensor::is_half(t.dtype());
  }
};

inline Tensor widen(const Tensor& t) { return is_half(t) ? t.to(DType::f32) : t; }
inline std::vector<Tensor> widen(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> wide;
  for (const Tensor& t : tensors) wide.push_back(widen(t));
  return wide;
}

// What a kernel writes in place of t; `kept`: it starts from what t holds.
inline Tensor wide_output(const Tensor& t, bool kept) {
  return is_half(t) && !kept ? Tensor::empty(t.shape(), DType::f32, t.device()) : widen(t);
}
inline std::vector<Tensor> wide_output(const std::vector<Tensor>& tensors, bool kept) {
  std::vector<Tensor> wide;
  for (const Tensor& t : tensors) wide.push_back(wide_output(t, kept));
  return wide;
}

// Rounds what a kernel wrote into the 16-bit tensor that it stands for.
inline void round_into(Tensor& target, const Tensor& wide) {
  if (is_half(target)) target.copy_(wide);
}
inline void round_into(std::vector<Tensor>& targets, const std::vector<Tensor>& wide) {
  for (size_t i = 0; i < targets.size(); ++i) round_into(targets[i], wide[i]);
}

// What a kernel gets in place of an argument of type P. The former values of outputs go in only where the kernel
// adds to them: they may be what nobody wrote. An output may be one of the inputs: those have f32 copies of their
// own.
template <class P>
struct Widened {
  using Value = std::remove_cvref_t<P>;
  static constexpr bool is_list = std::is_same_v<Value, Tensor> || std::is_same_v<Value, std::vector<Tensor>>;
  static constexpr bool is_output = is_list && !std::is_const_v<std::remove_reference_t<P>>;

  P target;
  std::conditional_t<is_list || ArgumentStruct<Value>, Value, char> value{};

  Widened(P argument, bool adds) : target(argument) {
    if constexpr (is_output) {
      value = wide_output(target, adds);
    } else if constexpr (is_list) {
      value = widen(target);
    } else if constexpr (ArgumentStruct<Value>) {
      value = target;
      std::apply([&](auto&... listed) { ((listed = wide_output(listed, adds)), ...); }, value.outputs());
      std::apply([](auto&... listed) { ((listed = widen(listed)), ...); }, value.inputs());
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
