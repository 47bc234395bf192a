// Multi-tensor optimiser steps: a launch for many tensors of a group, each element read and written once. The
// order of operations is the CPU's, which is PyTorch's.
#include <cmath>
#include <vector>

#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/tensor_list.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// What changes from step to step: as the host says, or, where there is a block (FromBlock), as that does.
struct StepState {
  const double *block, *rates;
  int64_t count;  // of rates
  double lr, gradient_scale;
  int64_t step;
};

template <class Step>
StepState state_of(const Step& p) {
  const bool any = p.from.block.defined();
  return {any ? p.from.block.template device_data<double>() : nullptr,
          any ? p.from.rates.template device_data<double>() : nullptr,
          any ? p.from.rates.numel() : 0,
          p.lr,
          p.gradient_scale,
          p.step};
}

// False: the block says that the step is not made. Else what it knows is set.
__device__ bool take_from_block(StepState& p) {
  if (p.block == nullptr) return true;
  if (p.block[StepPlace::skip] != 0) return false;
  const auto good = static_cast<int64_t>(p.block[StepPlace::good]);
  p.lr = p.rates[min(good, p.count - 1)];
  p.step += good;
  p.gradient_scale = p.block[StepPlace::gradient_scale];
  return true;
}

// --- AdamW: tensors 0 to 3 of the list are the weights, m, v and the gradients

struct AdamOptions {
  double beta1, beta2, eps, weight_decay;
  bool decoupled;
};

// The numbers of a step, which each block works out once.
template <class T>
struct AdamNumbers {
  bool skip;
  T scale, keep, step_size, root2;

  __device__ void set(StepState state, const AdamOptions& p) {
    skip = !take_from_block(state);
    scale = static_cast<T>(state.gradient_scale);
    keep = static_cast<T>(p.decoupled ? 1 - state.lr * p.weight_decay : 1);
    step_size = static_cast<T>(state.lr / (1 - std::pow(p.beta1, static_cast<double>(state.step))));
    root2 = static_cast<T>(std::sqrt(1 - std::pow(p.beta2, static_cast<double>(state.step))));
  }
};

// Bytes: 7 elements for each, 4 read and 3 written. FLOPs: 16 an element.
template <class T>
__global__ void adamw_tiles(TensorList<4> list, StepState state, AdamOptions p) {
  IMGCAP_SHARED(AdamNumbers<T>, numbers, [1]);
  if (threadIdx.x == 0) numbers[0].set(state, p);
  __syncthreads();
  const AdamNumbers<T> now = numbers[0];
  const T added = static_cast<T>(p.decoupled ? 0 : p.weight_decay);
  const bool adds = !p.decoupled && p.weight_decay != 0;  // 0 times an infinite weight would be NaN
  const T beta1 = static_cast<T>(p.beta1), rest1 = static_cast<T>(1 - p.beta1);
  const T beta2 = static_cast<T>(p.beta2), rest2 = static_cast<T>(1 - p.beta2);
  const T eps = static_cast<T>(p.eps);
  const bool near = 1 - p.beta1 < 0.5;  // torch.lerp's two forms: exact at both ends
  const Tile tile = list.tile();
  T *w = list.start<T>(0, tile), *first = list.start<T>(1, tile), *second = list.start<T>(2, tile);
  const auto* g = list.start<const T>(3, tile);
  const int64_t n = now.skip ? 0 : tile.n;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    const T before = w[i], mean_before = first[i];
    T gradient = g[i] * now.scale;
    if (adds) gradient += added * before;
    const T difference = gradient - mean_before;
    const T mean = near ? mean_before + rest1 * difference : gradient - difference * beta1;
    const T square = second[i] * beta2 + (rest2 * gradient) * gradient;
    first[i] = mean;
    second[i] = square;
    w[i] = before * now.keep - now.step_size * mean / (std::sqrt(square) / now.root2 + eps);
  }
}

// --- SGD: tensors 0 to 2 of the list are the weights, the gradients and, with momentum, the buffers

struct SgdOptions {
  double momentum, dampening, weight_decay;
  bool nesterov;
};

// Bytes: 3 elements for each, with momentum 5, of which the first step does not read one. FLOPs: 2 an element,
// with decay or momentum more.
template <class T>
__global__ void sgd_tiles(TensorList<3> list, StepState state, SgdOptions p) {
  const bool skip = !take_from_block(state);
  const T scale = static_cast<T>(state.gradient_scale), decay = static_cast<T>(p.weight_decay);
  const T lr = static_cast<T>(state.lr), mu = static_cast<T>(p.momentum);
  const bool is_first = state.step == 1;  // the first buffer is the gradient itself
  const T taken = is_first ? T(1) : static_cast<T>(1 - p.dampening);
  const Tile tile = list.tile();
  T* w = list.start<T>(0, tile);
  const auto* g = list.start<const T>(1, tile);
  T* b = p.momentum != 0 ? list.start<T>(2, tile) : nullptr;
  const int64_t n = skip ? 0 : tile.n;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    T gradient = g[i] * scale;
    if (decay != T(0)) gradient += decay * w[i];  // 0 times infinity would be NaN
    T change = gradient;
    if (b != nullptr) {
      const T buffer = is_first ? gradient : b[i] * mu + taken * gradient;
      b[i] = buffer;
      change = p.nesterov ? gradient + mu * buffer : buffer;
    }
    w[i] -= lr * change;
  }
}

// --- average: tensors 0 and 1 of the list are the averages and the parameters

struct AverageOptions {
  const double* block;
  double decay;
  bool has_decay, warm_up;
  int64_t t;
};

// Bytes: 3 elements for each, the first time 2. FLOPs: 3 an element.
template <class T>
__global__ void average_tiles(TensorList<2> list, AverageOptions p) {
  const bool skip = p.block != nullptr && p.block[StepPlace::skip] != 0;
  if (p.block != nullptr) p.t += static_cast<int64_t>(p.block[StepPlace::good]);
  const auto t = static_cast<double>(p.t);
  double decay = p.has_decay ? p.decay : t / (t + 1);
  if (p.has_decay && p.warm_up && (1 + t) / (10 + t) < decay) decay = (1 + t) / (10 + t);
  const T kept = static_cast<T>(decay), taken = static_cast<T>(1 - decay);
  const Tile tile = list.tile();
  T* average = list.start<T>(0, tile);
  const auto* parameter = list.start<const T>(1, tile);
  const int64_t n = skip ? 0 : tile.n;
  // At first an average may hold anything, NaN included.
  for (int64_t i = threadIdx.x; i < n; i += kThreads)
    average[i] = p.t == 0 ? parameter[i] : average[i] * kept + taken * parameter[i];
}

// What a launch for a list costs, with so many elements moved and operations made for each.
template <int N>
Launch launch_of(const char* op, Device device, const TensorList<N>& list, DType dtype, double moved,
                 double flops, Barriers barriers = Barriers::none) {
  return {.op = op,
          .device = device,
          .grid = dim3(static_cast<unsigned>(list.tiles())),
          .block = kThreads,
          .barriers = barriers,
          .flops = flops * list.elements(),
          .bytes = moved * list.elements() * static_cast<double>(size_of(dtype))};
}

std::byte* to_read(const Tensor& x) { return read_only(x)[0]; }

}  // namespace

void adamw(AdamStep p) {
  const StepState state = state_of(p);
  const AdamOptions options{p.beta1, p.beta2, p.eps, p.weight_decay, p.decoupled};
  for_each_list<4>(
      p.weights,
      [&](size_t i) -> std::array<std::byte*, 4> {
        return {p.weights[i].mutable_device_raw(), p.m[i].mutable_device_raw(), p.v[i].mutable_device_raw(),
                to_read(p.gradients[i])};
      },
      [&](const TensorList<4>& list, DType dtype, size_t) {
        const Launch config = launch_of("adamw", p.weights[0].device(), list, dtype, 7, 16, Barriers::some);
        dispatch_float(dtype, "adamw",
                       [&]<class T>() { launch(config, adamw_tiles<T>, list, state, options); });
      });
}

void sgd(SgdStep p) {
  const StepState state = state_of(p);
  const SgdOptions options{p.momentum, p.dampening, p.weight_decay, p.nesterov};
  const bool has_buffer = p.momentum != 0;
  const double flops = 3 + (p.weight_decay != 0 ? 2 : 0) + (has_buffer ? 3 : 0) + (p.nesterov ? 2 : 0);
  for_each_list<3>(
      p.weights,
      [&](size_t i) -> std::array<std::byte*, 3> {
        return {p.weights[i].mutable_device_raw(), to_read(p.gradients[i]),
                has_buffer ? p.buffers[i].mutable_device_raw() : nullptr};
      },
      [&](const TensorList<3>& list, DType dtype, size_t) {
        const Launch config = launch_of("sgd", p.weights[0].device(), list, dtype, has_buffer ? 5 : 3, flops);
        dispatch_float(dtype, "sgd", [&]<class T>() { launch(config, sgd_tiles<T>, list, state, options); });
      });
}

void average(AverageStep p) {
  const AverageOptions options{p.block.defined() ? p.block.device_data<double>() : nullptr,
                               p.decay.value_or(0), p.decay.has_value(), p.warm_up, p.t};
  for_each_list<2>(
      p.averages,
      [&](size_t i) -> std::array<std::byte*, 2> {
        return {p.averages[i].mutable_device_raw(), to_read(p.parameters[i])};
      },
      [&](const TensorList<2>& list, DType dtype, size_t) {
        const Launch config = launch_of("average", p.averages[0].device(), list, dtype, 3, 3);
        dispatch_float(dtype, "average", [&]<class T>() { launch(config, average_tiles<T>, list, options); });
      });
}

}  // namespace tensor::cuda
