// Multi-tensor optimiser steps: one parallel pass over tiles of all tensors of a group, each element read and
// written once. The order of operations is PyTorch's (torch/optim/adam.py, adamw.py, sgd.py), so that runs
// can be compared digit by digit.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

constexpr int64_t kTile = 16384;

// One tensor: its weights and what belongs to them.
template <class T>
struct Slot {
  T* weight;
  const T* gradient;
  T* a;  // m or the momentum buffer
  T* b;  // v
};

// A piece of one tensor.
struct Tile {
  size_t slot;
  int64_t begin, end;
};

using Tensors = std::vector<Tensor>;

// Calls step(slot, begin, end) for every tile of the tensors of type T.
template <class T, class Step>
void for_each_tile(Tensors& weights, const Tensors& gradients, Tensors* a, Tensors* b, Step step) {
  std::vector<Slot<T>> slots;
  std::vector<Tile> tiles;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i].dtype() != dtype_of<T>::value) continue;
    const int64_t n = weights[i].numel();
    for (int64_t begin = 0; begin < n; begin += kTile)
      tiles.push_back({slots.size(), begin, std::min(n, begin + kTile)});
    slots.push_back({weights[i].mutable_device_data<T>(), gradients[i].device_data<T>(),
                     a ? (*a)[i].mutable_device_data<T>() : nullptr,
                     b ? (*b)[i].mutable_device_data<T>() : nullptr});
  }
  parallel_each(static_cast<int64_t>(tiles.size()), 1, [&](int64_t i) {
    const Tile& tile = tiles[static_cast<size_t>(i)];
    step(slots[tile.slot], tile.begin, tile.end);
  });
}

// False: the block says that the step is not made. Else what it knows is set.
template <class Step>
bool take_from_block(Step& p) {
  if (!p.from.block.defined()) return true;
  const auto* block = p.from.block.template device_data<double>();
  if (block[StepPlace::skip] != 0) return false;
  const auto good = static_cast<int64_t>(block[StepPlace::good]);
  p.lr = p.from.rates.template device_data<double>()[std::min(good, p.from.rates.numel() - 1)];
  p.step += good;
  p.gradient_scale = block[StepPlace::gradient_scale];
  return true;
}

template <class T>
void adamw_of(AdamStep& p) {
  const double correction1 = 1 - std::pow(p.beta1, static_cast<double>(p.step));
  const double correction2 = 1 - std::pow(p.beta2, static_cast<double>(p.step));
  const T scale = static_cast<T>(p.gradient_scale);
  const T keep = static_cast<T>(p.decoupled ? 1 - p.lr * p.weight_decay : 1);
  const T added = static_cast<T>(p.decoupled ? 0 : p.weight_decay);
  const bool adds = !p.decoupled && p.weight_decay != 0;  // 0 times an infinite weight would be NaN
  const T beta1 = static_cast<T>(p.beta1), rest1 = static_cast<T>(1 - p.beta1);
  const T beta2 = static_cast<T>(p.beta2), rest2 = static_cast<T>(1 - p.beta2);
  const T step_size = static_cast<T>(p.lr / correction1);
  const T root2 = static_cast<T>(std::sqrt(correction2));
  const T eps = static_cast<T>(p.eps);
  const bool near = 1 - p.beta1 < 0.5;  // torch.lerp's two forms: exact at both ends
  for_each_tile<T>(p.weights, p.gradients, &p.m, &p.v, [&](const Slot<T>& slot, int64_t begin, int64_t end) {
    T* __restrict w = slot.weight;
    const T* __restrict g = slot.gradient;
    T* __restrict first = slot.a;
    T* __restrict second = slot.b;
    for (int64_t i = begin; i < end; ++i) {
      const T weight = w[i] * keep;
      T gradient = g[i] * scale;
      if (adds) gradient += added * w[i];
      const T difference = gradient - first[i];
      const T mean = near ? first[i] + rest1 * difference : gradient - difference * beta1;
      const T square = second[i] * beta2 + (rest2 * gradient) * gradient;
      first[i] = mean;
      second[i] = square;
      w[i] = weight - step_size * mean / (std::sqrt(square) / root2 + eps);
    }
  });
}

template <class T>
void sgd_of(SgdStep& p) {
  const T scale = static_cast<T>(p.gradient_scale), decay = static_cast<T>(p.weight_decay);
  const T lr = static_cast<T>(p.lr), mu = static_cast<T>(p.momentum);
  // The first buffer is the gradient itself.
  const bool is_first = p.step == 1;
  const T kept = is_first ? T(0) : mu, taken = is_first ? T(1) : static_cast<T>(1 - p.dampening);
  const bool has_buffer = p.momentum != 0, nesterov = p.nesterov;
  // Terms that do not count are left out: 0 times infinity would be NaN.
  const auto decayed = [=](T gradient, T weight) {
    return decay != T(0) ? gradient * scale + decay * weight : gradient * scale;
  };
  for_each_tile<T>(p.weights, p.gradients, has_buffer ? &p.buffers : nullptr, nullptr,
                   [&](const Slot<T>& slot, int64_t begin, int64_t end) {
                     T* __restrict w = slot.weight;
                     const T* __restrict g = slot.gradient;
                     T* __restrict b = slot.a;
                     if (!has_buffer) {
                       for (int64_t i = begin; i < end; ++i) w[i] -= lr * decayed(g[i], w[i]);
                       return;
                     }
                     if (is_first) std::fill(b + begin, b + end, T(0));  // it may hold anything, NaN included
                     for (int64_t i = begin; i < end; ++i) {
                       const T gradient = decayed(g[i], w[i]);
                       b[i] = b[i] * kept + taken * gradient;
                       w[i] -= lr * (nesterov ? gradient + mu * b[i] : b[i]);
                     }
                   });
}

template <class T>
void average_of(AverageStep& p, double decay) {
  const T kept = static_cast<T>(decay), taken = static_cast<T>(1 - decay);
  for_each_tile<T>(p.averages, p.parameters, nullptr, nullptr,
                   [&](const Slot<T>& slot, int64_t begin, int64_t end) {
                     T* __restrict average = slot.weight;
                     const T* __restrict parameter = slot.gradient;
                     if (p.t == 0) {  // it may hold anything, NaN included
                       std::copy(parameter + begin, parameter + end, average + begin);
                       return;
                     }
                     for (int64_t i = begin; i < end; ++i) average[i] *= kept;
                     for (int64_t i = begin; i < end; ++i) average[i] += taken * parameter[i];
                   });
}

}  // namespace

void adamw(AdamStep step) {
  if (!take_from_block(step)) return;
  adamw_of<float>(step);
  adamw_of<double>(step);
}

void sgd(SgdStep step) {
  if (!take_from_block(step)) return;
  sgd_of<float>(step);
  sgd_of<double>(step);
}

void average(AverageStep step) {
  if (step.block.defined()) {
    const auto* block = step.block.device_data<double>();
    if (block[StepPlace::skip] != 0) return;
    step.t += static_cast<int64_t>(block[StepPlace::good]);
  }
  const auto t = static_cast<double>(step.t);
  double decay = step.decay.value_or(t / (t + 1));
  if (step.decay && step.warm_up) decay = std::min(decay, (1 + t) / (10 + t));
  average_of<float>(step, decay);
  average_of<double>(step, decay);
}

}  // namespace tensor::cpu
