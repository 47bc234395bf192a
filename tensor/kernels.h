// Everything a device must be able to do, on one page. Each kernel is declared once: the macro makes the
// declarations cpu::NAME and cuda::NAME and the chooser NAME, which looks at the first argument's device.
//
// Rules: the first argument is the output (or one of them), allocated by the caller with the right shape,
// dtype and device. Unless a line says otherwise, inputs may have any strides and outputs are contiguous. f32
// and f64, and on the CPU f16 and bf16 through f32 (widening.h); indices i64. A kernel checks what it needs
// and throws with its name first; results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/kernel_call.h"
#include "tensor/tensor.h"
#include "tensor/widening.h"

#if defined(IMGCAP_HAVE_CUDA)
#define IMGCAP_KERNEL_OF(name, parameters, first, arguments, on_cpu_call)   \
  namespace cpu {                                                           \
  void name parameters;                                                     \
  }                                                                         \
  namespace cuda {                                                          \
  void name parameters;                                                     \
  }                                                                         \
  inline void name parameters {                                             \
    const internal::KernelCall call(#name);                                 \
    internal::on_cpu(first) ? on_cpu_call arguments : cuda::name arguments; \
  }
#else
#define IMGCAP_KERNEL_OF(name, parameters, first, arguments, on_cpu_call) \
  namespace cpu {                                                         \
  void name parameters;                                                   \
  }                                                                       \
  inline void name parameters {                                           \
    const internal::KernelCall call(#name);                               \
    if (!internal::on_cpu(first)) internal::built_without_cuda(#name);    \
    on_cpu_call arguments;                                                \
  }
#endif
// 16-bit floats among the arguments are widened to f32 for the kernel, and its results rounded once.
#define IMGCAP_KERNEL(name, parameters, first, arguments) \
  IMGCAP_KERNEL_OF(name, parameters, first, arguments, internal::widening(cpu::name))
// The kernel looks at the types itself: where 16-bit floats are data like others, or are not wanted, or have
// a kernel of their own.
#define IMGCAP_KERNEL_AS_IS(name, parameters, first, arguments) \
  IMGCAP_KERNEL_OF(name, parameters, first, arguments, cpu::name)

namespace tensor {

namespace internal {
inline bool on_cpu(const Tensor& t) { return t.device().is_cpu(); }
inline bool on_cpu(const std::vector<Tensor>& tensors) { return tensors.empty() || on_cpu(tensors.front()); }
[[noreturn]] void built_without_cuda(const char* kernel);  // device error "softmax: built without CUDA"
}  // namespace internal

enum class UnaryOp { neg, abs, exp, log, sqrt, rsqrt, reciprocal, relu, relu6, tanh, sigmoid, square, sign };
enum class BinaryOp {
  add,
  sub,
  mul,
  div,
  pow,
  maximum,
  minimum,
  eq,
  ne,
  lt,
  le,
  gt,
  ge
};  // comparisons give bool
enum class ReduceOp { sum, mean, max, min };

struct Conv2dOptions {
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;
};

struct Pool2dOptions {
  int64_t kernel_h = 2, kernel_w = 2, stride_h = 2, stride_w = 2;
  int64_t pad_h = 0, pad_w = 0, dilation_h = 1, dilation_w = 1;
  bool ceil_mode = false;
};

// One tensor of an optimiser step.
struct AdamWParameters {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;  // AdamW: the decay acts on the weight; Adam: it is added to the gradient
  int64_t step;    // 1 for the first step
};

// clang-format off

// --- copy.cc: out may have any strides; any dtypes; x broadcasts to out
IMGCAP_KERNEL_AS_IS(copy, (Tensor& out, const Tensor& x), out, (out, x))
IMGCAP_KERNEL_AS_IS(fill, (Tensor& out, double value), out, (out, value))

// --- elementwise.cc: inputs broadcast to out's shape; f32, f64 (add, sub, mul, comparisons also i64)
IMGCAP_KERNEL(unary, (Tensor& out, const Tensor& x, UnaryOp op), out, (out, x, op))
IMGCAP_KERNEL(binary, (Tensor& out, const Tensor& a, const Tensor& b, BinaryOp op), out, (out, a, b, op))
IMGCAP_KERNEL(affine, (Tensor& out, const Tensor& x, double scale, double shift), out, (out, x, scale, shift))  // scale x + shift
IMGCAP_KERNEL(clamp, (Tensor& out, const Tensor& x, double low, double high), out, (out, x, low, high))
IMGCAP_KERNEL(where, (Tensor& out, const Tensor& condition, const Tensor& a, const Tensor& b), out, (out, condition, a, b))  // condition: bool
IMGCAP_KERNEL(add_inplace, (Tensor& out, const Tensor& x, double scale), out, (out, x, scale))  // out += scale x; same shape; out any strides

// --- reduce.cc
// `dims` are reduced; out has them with size 1 (or is out's shape with them dropped). An empty mean is NaN.
IMGCAP_KERNEL(reduce, (Tensor& out, const Tensor& x, const std::vector<int>& dims, ReduceOp op), out, (out, x, dims, op))
IMGCAP_KERNEL(argmax, (Tensor& out, const Tensor& x), out, (out, x))  // over the last dimension; the first of equals
// The k greatest of the last dimension in falling order; equals in order of index.
IMGCAP_KERNEL(topk, (Tensor& values, Tensor& indices, const Tensor& x, int64_t k), values, (values, indices, x, k))
IMGCAP_KERNEL(cumsum, (Tensor& out, const Tensor& x), out, (out, x))  // along the last dimension
// out[0] = sum over all tensors of sum of squares, in f64; out is (1) f64.
IMGCAP_KERNEL(sum_squares, (Tensor& out, const std::vector<Tensor>& tensors), out, (out, tensors))

// --- matmul.cc: (m, k) x (k, n), or the same with one leading batch dimension on both (size 1 broadcasts).
// out may have row stride > n. out = alpha a b + beta out; beta 0 does not read out.
IMGCAP_KERNEL(matmul, (Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta), out, (out, a, b, alpha, beta))

// --- softmax.cc: along the last dimension; x and out contiguous
IMGCAP_KERNEL(softmax, (Tensor& out, const Tensor& x), out, (out, x))
IMGCAP_KERNEL(log_softmax, (Tensor& out, const Tensor& x), out, (out, x))

// --- cross_entropy.cc: logits (n, v) contiguous, targets (n) i64. Row i with target == ignore_index counts nothing and
// has loss 0. With smoothing s and class weights w (v; undefined: all 1): (1 - s) * w[target] * -log p[target] +
// s * mean over classes of -w log p. losses is (n).
IMGCAP_KERNEL(cross_entropy, (Tensor& losses, const Tensor& logits, const Tensor& targets, const Tensor& weight, int64_t ignore_index, double smoothing), losses, (losses, logits, targets, weight, ignore_index, smoothing))
// dlogits = row_gradient[i] * d losses[i] / d logits[i]; may be the logits themselves (in place).
IMGCAP_KERNEL(cross_entropy_backward, (Tensor& dlogits, const Tensor& logits, const Tensor& targets, const Tensor& weight, const Tensor& row_gradient, int64_t ignore_index, double smoothing), dlogits, (dlogits, logits, targets, weight, row_gradient, ignore_index, smoothing))

// --- conv2d.cc: x (n, c, h, w), w (o, c / groups, kh, kw), bias (o) or undefined; all contiguous
IMGCAP_KERNEL(conv2d, (Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options), out, (out, x, w, bias, options))
IMGCAP_KERNEL(conv2d_backward_input, (Tensor& dx, const Tensor& dout, const Tensor& w, const Conv2dOptions& options), dx, (dx, dout, w, options))
IMGCAP_KERNEL(conv2d_backward_weight, (Tensor& dw, const Tensor& dout, const Tensor& x, const Conv2dOptions& options), dw, (dw, dout, x, options))

// --- pool.cc: x (n, c, h, w) contiguous; padding counts as -inf; indices (flat h * W + w of the maximum) like out, i64
IMGCAP_KERNEL(max_pool2d, (Tensor& out, Tensor& indices, const Tensor& x, const Pool2dOptions& options), out, (out, indices, x, options))
IMGCAP_KERNEL(max_pool2d_backward, (Tensor& dx, const Tensor& dout, const Tensor& indices), dx, (dx, dout, indices))
IMGCAP_KERNEL(adaptive_avg_pool2d, (Tensor& out, const Tensor& x), out, (out, x))  // the output size is out's
IMGCAP_KERNEL(adaptive_avg_pool2d_backward, (Tensor& dx, const Tensor& dout), dx, (dx, dout))

// --- norm.cc: x (n, c, ...) contiguous; all others (c). Statistics: mean and biased variance over all but c.
IMGCAP_KERNEL(batch_norm_statistics, (Tensor& mean, Tensor& variance, const Tensor& x), mean, (mean, variance, x))
// out = (x - mean) * rstd * weight + bias; weight and bias may be undefined
IMGCAP_KERNEL(batch_norm_apply, (Tensor& out, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& weight, const Tensor& bias), out, (out, x, mean, rstd, weight, bias))
// dx, and dweight, dbias (c); `train`: mean and rstd are those of x itself and get gradients too
IMGCAP_KERNEL(batch_norm_backward, (Tensor& dx, Tensor& dweight, Tensor& dbias, const Tensor& dout, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& weight, bool train), dx, (dx, dweight, dbias, dout, x, mean, rstd, weight, train))

// --- embedding.cc: weight (v, d), ids any shape i64, out ids.shape + (d); an index error names the first bad id
IMGCAP_KERNEL(embedding, (Tensor& out, const Tensor& weight, const Tensor& ids), out, (out, weight, ids))
// dweight[ids[i]] += dout[i], in the order of i; dweight is not cleared
IMGCAP_KERNEL(embedding_backward, (Tensor& dweight, const Tensor& dout, const Tensor& ids), dweight, (dweight, dout, ids))

// --- dropout.cc: out = x * keep / (1 - p); element i is kept when uniform(seed, offset, i) >= p. The backward pass calls
// it again with the gradient: no mask is kept. Contiguous.
IMGCAP_KERNEL(dropout, (Tensor& out, const Tensor& x, double p, uint64_t seed, uint64_t offset), out, (out, x, p, seed, offset))

// --- lstm.cc: pre (n, 4h) the gates before activation in the order i, f, g, o; c_prev (n, h). Writes the activated gates
// (n, 4h), c and h (n, h). Rows may be strided (a slice of a larger buffer), columns not.
IMGCAP_KERNEL(lstm_cell, (Tensor& h, Tensor& c, Tensor& gates, const Tensor& pre, const Tensor& c_prev), h, (h, c, gates, pre, c_prev))
// From dh and dc (gradients of h and c): dpre (n, 4h) and dc_prev (n, h; may be dc itself)
IMGCAP_KERNEL(lstm_cell_backward, (Tensor& dpre, Tensor& dc_prev, const Tensor& dh, const Tensor& dc, const Tensor& gates, const Tensor& c, const Tensor& c_prev), dpre, (dpre, dc_prev, dh, dc, gates, c, c_prev))

// --- attention.cc: additive attention (Bahdanau et al. 2015) of n queries over images: keys (m, p, a) projected features,
// values (m, p, d), query (n, a) projected state, image (n) i64 row -> image, v (a), v_bias (1) or undefined.
// alpha (n, p) = softmax_p(v . tanh(keys + query) + v_bias), context (n, d) = sum_p alpha values. context's rows may be strided.
IMGCAP_KERNEL(additive_attention, (Tensor& context, Tensor& alpha, const Tensor& keys, const Tensor& values, const Tensor& query, const Tensor& image, const Tensor& v, const Tensor& v_bias), context, (context, alpha, keys, values, query, image, v, v_bias))
// Adds to dkeys (m, p, a), dv (a), dv_bias (1) and, when it is defined, dvalues (m, p, d); writes dquery (n, a).
// dalpha (n, p) or undefined: a gradient on the attention weights themselves.
IMGCAP_KERNEL(additive_attention_backward, (Tensor& dquery, Tensor& dkeys, Tensor& dvalues, Tensor& dv, Tensor& dv_bias, const Tensor& dcontext, const Tensor& dalpha, const Tensor& alpha, const Tensor& keys, const Tensor& values, const Tensor& query, const Tensor& image, const Tensor& v), dquery, (dquery, dkeys, dvalues, dv, dv_bias, dcontext, dalpha, alpha, keys, values, query, image, v))

// --- optimizer.cc: all tensors of a parameter group in one pass; contiguous; f32 and f64 only: an update is often less
// than a 16-bit weight's rounding
IMGCAP_KERNEL_AS_IS(adamw, (std::vector<Tensor>& weights, const std::vector<Tensor>& gradients, std::vector<Tensor>& m, std::vector<Tensor>& v, const AdamWParameters& parameters, double gradient_scale), weights, (weights, gradients, m, v, parameters, gradient_scale))
// momentum buffers may be undefined when momentum is 0; first: the buffers are set, not decayed
IMGCAP_KERNEL_AS_IS(sgd, (std::vector<Tensor>& weights, const std::vector<Tensor>& gradients, std::vector<Tensor>& buffers, double lr, double momentum, double dampening, double weight_decay, bool nesterov, bool first, double gradient_scale), weights, (weights, gradients, buffers, lr, momentum, dampening, weight_decay, nesterov, first, gradient_scale))

// clang-format on

}  // namespace tensor
