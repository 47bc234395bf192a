#include "tensor/cpu/half_rows.h"
#include "tensor/cpu/softmax.h"
#include "tensor/kernels.h"
#include "tensor/operand_types.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// Rows of a tile: of 8192 logits.
int64_t row_grain(int64_t classes) { return 8192 / std::max<int64_t>(1, classes); }

// The targets, in order of rows, in range.
Tensor checked_targets(const Tensor& logits, const Tensor& targets, int64_t ignore_index) {
  Tensor rows = targets.contiguous();
  const int64_t *target = rows.device_data<int64_t>(), classes = logits.size(1);
  for (int64_t i = 0; i < rows.numel(); ++i)
    check(target[i] == ignore_index || (target[i] >= 0 && target[i] < classes), ErrorKind::index,
          "cross_entropy: target {} of row {} is outside the {} classes of logits {}", target[i], i, classes,
          logits.shape());
  return rows;
}

// The mean of term(i) over 0 ... n - 1.
template <class F>
double row_mean(int64_t n, F term) {
  return wide_sum(0, n, term) / static_cast<double>(n);
}

}  // namespace

void cross_entropy(Tensor& losses, Operand given, const Tensor& targets, const Tensor& weight,
                   const CrossEntropyOptions& options) {
  const Tensor& logits = given;
  const int64_t ignore_index = options.ignore_index;
  const double smoothing = options.smoothing;
  const Tensor rows = checked_targets(logits, targets, ignore_index);
  const Tensor weights = weight.defined() ? weight.contiguous() : Tensor();
  const int64_t classes = logits.size(1);
  dispatch_operands(losses.dtype(), logits.dtype(), "cross_entropy", [&]<class T, class K>() {
    const K* x = logits.device_data<K>();
    const T* w = weights.defined() ? weights.device_data<T>() : nullptr;
    const int64_t* target = rows.device_data<int64_t>();
    T* loss = losses.mutable_device_data<T>();
    const auto one_loss = [&](int64_t i, WideRows<T, K>& wide) {
      if (target[i] == ignore_index) {
        loss[i] = 0;
        return;
      }
      // Differences from the maximum, so that logits of 10^4 lose no digits.
      const T* row = wide(x + i * classes);
      const auto [top, sum] = row_statistics(row, classes);
      const double log_sum = std::log(sum), shift = static_cast<double>(top);
      double value = log_sum - (static_cast<double>(row[target[i]]) - shift);
      if (w != nullptr) value *= static_cast<double>(w[target[i]]);
      if (smoothing != 0) {
        const double mean = row_mean(classes, [&](int64_t k) {
          const double distance = log_sum - (static_cast<double>(row[k]) - shift);
          return w != nullptr ? static_cast<double>(w[k]) * distance : distance;
        });
        value = (1 - smoothing) * value + smoothing * mean;
      }
      loss[i] = static_cast<T>(value);
    };
    parallel_for(rows.numel(), row_grain(classes), [&](int64_t begin, int64_t end) {
      WideRows<T, K> wide(classes);
      for (int64_t i = begin; i < end; ++i) one_loss(i, wide);
    });
  });
}

void cross_entropy_backward(OperandOut dlogits, Operand given, const Tensor& targets, const Tensor& weight,
                            const Tensor& row_gradient, const CrossEntropyOptions& options) {
  const Tensor& logits = given;
  const int64_t ignore_index = options.ignore_index;
  const double smoothing = options.smoothing;
  const Tensor rows = checked_targets(logits, targets, ignore_index);
  const Tensor weights = weight.defined() ? weight.contiguous() : Tensor();
  const int64_t classes = logits.size(1);
  const Tensor gradients = row_gradient.contiguous();
  dispatch_operands(gradients.dtype(), logits.dtype(), "cross_entropy", [&]<class T, class K>() {
    const K* x = logits.device_data<K>();
    const T* g = gradients.device_data<T>();
    const T* w = weights.defined() ? weights.device_data<T>() : nullptr;
    const double mean_weight =
        w != nullptr ? row_mean(classes, [&](int64_t k) { return static_cast<double>(w[k]); }) : 1.0;
    const int64_t* target = rows.device_data<int64_t>();
    K* out = dlogits->mutable_device_data<K>();
    const auto one_row = [&](int64_t i, WideRows<T, K>& wide) {
      K* result = out + i * classes;
      if (target[i] == ignore_index) {
        std::fill(result, result + classes, K(T(0)));
        return;
      }
      const T* row = wide(x + i * classes);
      T* d = wide.room_for(result);
      const auto [top, sum] = row_statistics(row, classes);
      // How much the row's loss falls when the log-probability of its target, and of all,
      // rises.
      const double gradient = static_cast<double>(g[i]);
      const double on_target =
          gradient * (1 - smoothing) * (w != nullptr ? static_cast<double>(w[target[i]]) : 1.0);
      const double in_all = on_target + gradient * smoothing * mean_weight;
      const T shift = top, scale = static_cast<T>(in_all / sum);
      const T uniform = static_cast<T>(gradient * smoothing / static_cast<double>(classes));
      if (w != nullptr) {
        IMGCAP_VECTORIZE
        for (int64_t k = 0; k < classes; ++k) d[k] = fast_exp(row[k] - shift) * scale - uniform * w[k];
      } else {
        IMGCAP_VECTORIZE
        for (int64_t k = 0; k < classes; ++k) d[k] = fast_exp(row[k] - shift) * scale - uniform;
      }
      d[target[i]] -= static_cast<T>(on_target);
      wide.finish(result);
    };
    parallel_for(rows.numel(), row_grain(classes), [&](int64_t begin, int64_t end) {
      WideRows<T, K> wide(classes);
      for (int64_t i = begin; i < end; ++i) one_row(i, wide);
    });
  });
}

}  // namespace tensor::cpu
