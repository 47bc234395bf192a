// The numbers of a training step that its device keeps (optim/step_block.h).
#include <vector>

#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/tensor_list.h"
#include "tensor/kernels.h"
#include "tensor/step_block.h"

namespace tensor::cuda {
namespace {

struct Least {
  __device__ int64_t operator()(int64_t a, int64_t b) const { return b < a ? b : a; }
};

template <class T>
__device__ bool is_finite(T value) {
  return value - value == T(0);
}

// found[tile] (3) as first_not_finite's result, for the tile alone: a block each. `number` is the list's first
// tensor. Bytes: the tensors and `found`. FLOPs: 1 an element.
template <class T>
__global__ void not_finite_tiles(double* found, TensorList<1> list, int64_t number) {
  constexpr int P = kPack<T>;
  const Tile tile = list.tile();
  const auto* x = list.start<const T>(0, tile);
  const int64_t packs = aligned(x) ? tile.n / P : 0;
  int64_t bad = tile.n;
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    const auto pack = reinterpret_cast<const Pack<T, P>*>(x)[i];
    for (int k = 0; k < P; ++k)
      if (!is_finite(pack.at[k])) bad = min(bad, i * P + k);
  }
  for (int64_t i = packs * P + threadIdx.x; i < tile.n; i += kThreads)
    if (!is_finite(x[i])) bad = min(bad, i);
  bad = join_row(bad, Least{});
  if (threadIdx.x == 0) {
    const bool any = bad < tile.n;
    double* out = found + 3 * static_cast<int64_t>(blockIdx.x);
    out[0] = any ? static_cast<double>(number + tile.k) : -1.0;
    out[1] = any ? static_cast<double>(tile.begin + bad) : 0.0;
    out[2] = any ? static_cast<double>(x[bad]) : 0.0;
  }
}

// out (3) = that of the first tile that has one: one block. Bytes: a number of each tile, three of one, and out.
__global__ void first_of_tiles(double* out, const double* found, int64_t tiles) {
  int64_t first = tiles;
  for (int64_t i = threadIdx.x; i < tiles; i += kThreads)
    if (found[3 * i] >= 0) first = min(first, i);
  first = join_row(first, Least{});
  if (threadIdx.x < 3) {
    const double none = threadIdx.x == 0 ? -1.0 : 0.0;
    out[threadIdx.x] = first < tiles ? found[3 * first + threadIdx.x] : none;
  }
}

// One thread. `bad` and `origin` may be null.
__global__ void finish(double* block, const double* loss, int64_t tokens, const double* squares,
                       const double* bad, double clip_norm, LossScaling scaling, int64_t* origin,
                       int64_t drawn) {
  tensor::finish_step(block, *loss, tokens, *squares, bad, clip_norm, scaling);
  if (origin != nullptr) origin[1] += drawn;
}

}  // namespace

void first_not_finite(Tensor& out, const std::vector<Tensor>& tensors) {
  std::vector<Tensor> sources;
  int64_t tiles = 0;
  for (const Tensor& tensor : tensors) {
    sources.push_back(tensor.contiguous());
    tiles += tiles_of(tensor);
  }
  const Device device = out.device();
  Tensor partial = Tensor::empty({tiles, 3}, DType::f64, device);
  auto* found = partial.mutable_device_data<double>();
  for_each_list<1>(
      sources, [&](size_t i) { return read_only(sources[i]); },
      [&](const TensorList<1>& list, DType dtype, size_t first) {
        const Launch config{.op = "first_not_finite",
                            .device = device,
                            .grid = dim3(static_cast<unsigned>(list.tiles())),
                            .block = kThreads,
                            .barriers = Barriers::some,
                            .flops = list.elements(),
                            .bytes = list.elements() * static_cast<double>(size_of(dtype)) +
                                     24.0 * static_cast<double>(list.tiles())};
        dispatch_float(dtype, "first_not_finite", [&]<class T>() {
          launch(config, not_finite_tiles<T>, found, list, static_cast<int64_t>(first));
        });
        found += 3 * list.tiles();
      });
  launch({.op = "first_not_finite",
          .device = device,
          .block = kThreads,
          .barriers = Barriers::some,
          .bytes = 8.0 * static_cast<double>(tiles) + 24},
         first_of_tiles, out.mutable_device_data<double>(), partial.device_data<double>(), tiles);
}

void finish_step(FinishStep p) {
  launch({.op = "finish_step", .device = p.block.device(), .bytes = 8.0 * (2 * StepPlace::count + 5)}, finish,
         p.block.mutable_device_data<double>(), p.loss.device_data<double>(), p.tokens,
         p.squares.device_data<double>(), p.bad.defined() ? p.bad.device_data<double>() : nullptr,
         p.clip_norm, LossScaling{p.growth_factor, p.backoff_factor, p.growth_interval},
         p.origin.defined() ? p.origin.mutable_device_data<int64_t>() : nullptr, p.drawn);
}

}  // namespace tensor::cuda
