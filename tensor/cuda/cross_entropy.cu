#include <cmath>

#include "tensor/cuda/bad_index.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/cuda/softmax.h"
#include "tensor/kernels.h"
#include "tensor/operand_types.h"

// What is one number for a row is computed in f64, as on the CPU.
namespace tensor::cuda {
namespace {

// What both kernels get besides their tensors; `weight` may be null. T is computed in, K is the logits' type.
template <class T, class K>
struct Rows {
  const K* logits;
  const int64_t* targets;
  const T* weight;
  int64_t rows, classes, ignore_index;
  double smoothing;
  IndexCheck check;

  // The target of a row that counts; -1: it does not.
  __device__ int64_t target(int64_t row) const {
    const int64_t target = row < rows ? targets[row] : ignore_index;
    return target != ignore_index && is_good(check, target, classes, row) ? target : -1;
  }
  __device__ double weight_of(int64_t k) const {
    return weight != nullptr ? static_cast<double>(weight[k]) : 1.0;
  }
};

// The mean of the weights, for all threads of the row. All threads of the block call it.
template <class T, class K>
__device__ double mean_weight(const Rows<T, K>& p) {
  double sum = 0;
  for (int64_t k = threadIdx.x; k < p.classes; k += blockDim.x) sum += p.weight_of(k);
  return join_row(sum, Add{}) / static_cast<double>(p.classes);
}

// The loss of a row, differences from the maximum so that logits of 10^4 lose no digits. Bytes: logits, targets,
// losses, and the weights. FLOPs: 7 an element, with smoothing 10.
template <int P, class T, class K>
__global__ void loss_rows(T* losses, Rows<T, K> p) {
  const int64_t row = row_index(), target = p.target(row);
  const K* x = p.logits + row * p.classes;
  const int64_t work = target >= 0 ? p.classes : 0;
  const RowSum<T> sum = row_sum(reinterpret_cast<const Pack<K, P>*>(x), work / P);
  const double log_sum = std::log(static_cast<double>(sum.sum)), top = static_cast<double>(sum.top);
  const auto distance = [&](int64_t k) {
    return p.weight_of(k) * (log_sum - (static_cast<double>(static_cast<T>(x[k])) - top));
  };
  double all = 0;
  if (p.smoothing != 0) {
    for (int64_t k = threadIdx.x; k < work; k += blockDim.x) all += distance(k);
    all = join_row(all, Add{}) / static_cast<double>(p.classes);
  }
  if (threadIdx.x != 0 || row >= p.rows) return;
  double value = 0;
  if (target >= 0) value = distance(target);
  if (p.smoothing != 0) value = (1 - p.smoothing) * value + p.smoothing * all;
  losses[row] = static_cast<T>(value);
}

// May be in place: each thread writes what it has read itself. Bytes: logits, targets, row gradients, dlogits, and
// the weights. FLOPs: 10 an element.
template <int P, class T, class K>
__global__ void gradient_rows(K* dlogits, const T* row_gradient, Rows<T, K> p) {
  const int64_t row = row_index(), target = p.target(row), packs = p.classes / P;
  const auto* x = reinterpret_cast<const Pack<K, P>*>(p.logits) + row * packs;
  auto* d = reinterpret_cast<Pack<K, P>*>(dlogits) + row * packs;
  const RowSum<T> sum = row_sum(x, target >= 0 ? packs : 0);
  const double mean = p.smoothing != 0 && p.weight != nullptr ? mean_weight(p) : 1.0;
  // How much the row's loss falls when the log-probability of its target, and of all, rises.
  const double gradient = target >= 0 ? static_cast<double>(row_gradient[row]) : 0.0;
  const double on_target = target >= 0 ? gradient * (1 - p.smoothing) * p.weight_of(target) : 0.0;
  const double in_all = on_target + gradient * p.smoothing * mean;
  const T scale = static_cast<T>(in_all / static_cast<double>(sum.sum));
  const T uniform = static_cast<T>(gradient * p.smoothing / static_cast<double>(p.classes));
  for (int64_t i = threadIdx.x; row < p.rows && i < packs; i += blockDim.x) {
    Pack<K, P> pack{};
    if (target >= 0) pack = x[i];
    for (int j = 0; target >= 0 && j < P; ++j) {
      const int64_t k = i * P + j;
      T value = static_cast<T>(pack.at[j]);
      value = std::exp(value - sum.top) * scale - (p.weight != nullptr ? uniform * p.weight[k] : uniform);
      if (k == target) value -= static_cast<T>(on_target);
      pack.at[j] = static_cast<K>(value);
    }
    d[i] = pack;
  }
}

template <class T, class K>
Rows<T, K> rows_of(const Tensor& logits, const Tensor& targets, const Tensor& weight,
                   const CrossEntropyOptions& options) {
  const IndexCheck check =
      check_indices(logits.device(), [shape = logits.shape()](int64_t target, int64_t row) {
        return format("cross_entropy: target {} of row {} is outside the {} classes of logits {}", target,
                      row, shape[1], shape);
      });
  return {logits.device_data<K>(),
          targets.device_data<int64_t>(),
          weight.defined() ? weight.device_data<T>() : nullptr,
          logits.size(0),
          logits.size(1),
          options.ignore_index,
          options.smoothing,
          check};
}

Launch launch_of(const char* op, const Tensor& logits, double flops, int64_t bytes) {
  const RowLaunch shape(logits.size(0), logits.size(1));
  return {.op = op,
          .device = logits.device(),
          .grid = shape.grid,
          .block = shape.block,
          .barriers = Barriers::some,
          .flops = flops * static_cast<double>(logits.numel()),
          .bytes = static_cast<double>(bytes)};
}

}  // namespace

void cross_entropy(Tensor& losses, Operand given, const Tensor& targets, const Tensor& weight,
                   const CrossEntropyOptions& options) {
  const Tensor& logits = given;
  if (losses.numel() == 0) return;
  const Tensor rows = targets.contiguous(), weights = weight.defined() ? weight.contiguous() : weight;
  const Launch config =
      launch_of("cross_entropy", logits, options.smoothing != 0 ? 10 : 7,
                logits.bytes() + rows.bytes() + losses.bytes() + (weights.defined() ? weights.bytes() : 0));
  dispatch_operands(losses.dtype(), logits.dtype(), "cross_entropy", [&]<class T, class K>() {
    const auto p = rows_of<T, K>(logits, rows, weights, options);
    T* loss = losses.mutable_device_data<T>();
    if (in_packs<K>(p.classes, {p.logits}))
      launch(config, loss_rows<kPack<K>, T, K>, loss, p);
    else
      launch(config, loss_rows<1, T, K>, loss, p);
  });
}

void cross_entropy_backward(OperandOut dlogits, Operand given, const Tensor& targets, const Tensor& weight,
                            const Tensor& row_gradient, const CrossEntropyOptions& options) {
  const Tensor& logits = given;
  if (targets.numel() == 0) return;
  const Tensor rows = targets.contiguous(), weights = weight.defined() ? weight.contiguous() : weight,
               gradients = row_gradient.contiguous();
  const Launch config = launch_of(
      "cross_entropy_backward", logits, 10,
      2 * logits.bytes() + rows.bytes() + gradients.bytes() + (weights.defined() ? weights.bytes() : 0));
  dispatch_operands(gradients.dtype(), logits.dtype(), "cross_entropy", [&]<class T, class K>() {
    const auto p = rows_of<T, K>(logits, rows, weights, options);
    K* d = dlogits->mutable_device_data<K>();
    const T* g = gradients.device_data<T>();
    if (in_packs<K>(p.classes, {p.logits, d}))
      launch(config, gradient_rows<kPack<K>, T, K>, d, g, p);
    else
      launch(config, gradient_rows<1, T, K>, d, g, p);
  });
}

}  // namespace tensor::cuda
