// Every public op on variables, on one page. Each is in ops/<family>.cc with its backward node right under
// it. f32 and f64; f16 and bf16 are computed in f32 and rounded once per op. One type for all inputs, except
// under autocast (autocast.h) and where it is said; shapes broadcast where it is said; errors are typed and
// name the op and the shapes. Results are new tensors except where "view" is said. "Once": fused, cannot be
// differentiated twice.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/node.h"
#include "autograd/variable.h"
#include "tensor/kernels.h"
#include "tensor/random.h"

namespace autograd {

// --- arithmetic.cc: shapes broadcast
Variable add(const Variable& a, const Variable& b);
Variable sub(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
Variable div(const Variable& a, const Variable& b);
Variable div_by(const Variable& x, double divisor);              // x / divisor, not x * (1 / divisor)
Variable affine(const Variable& x, double scale, double shift);  // scale x + shift
Variable neg(const Variable& x);
Variable pow(const Variable& x, double exponent);
Variable exp(const Variable& x);
Variable log(const Variable& x);  // of subnormal numbers, too, which other ops take for 0 (docs/design.md)
Variable sqrt(const Variable& x);
Variable square(const Variable& x);
Variable abs(const Variable& x);  // gradient 0 at 0
// Equals get half of the gradient each; where either is NaN both get all of it, as in PyTorch.
Variable maximum(const Variable& a, const Variable& b);
Variable minimum(const Variable& a, const Variable& b);
Variable where(const Tensor& condition, const Variable& a, const Variable& b);  // condition: bool

inline Variable operator+(const Variable& a, const Variable& b) { return add(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return sub(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return mul(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return div(a, b); }
inline Variable operator-(const Variable& x) { return neg(x); }
inline Variable operator+(const Variable& x, double y) { return affine(x, 1, y); }
inline Variable operator+(double y, const Variable& x) { return affine(x, 1, y); }
inline Variable operator-(const Variable& x, double y) { return affine(x, 1, -y); }
inline Variable operator-(double y, const Variable& x) { return affine(x, -1, y); }
inline Variable operator*(const Variable& x, double y) { return affine(x, y, 0); }
inline Variable operator*(double y, const Variable& x) { return affine(x, y, 0); }
inline Variable operator/(const Variable& x, double y) { return div_by(x, y); }

// --- activation.cc
Variable relu(const Variable& x);
Variable relu6(const Variable& x);
Variable tanh(const Variable& x);
Variable sigmoid(const Variable& x);
Variable clamp(const Variable& x, double low, double high);

// --- reduce.cc: an empty `dims` means all dimensions
Variable sum(const Variable& x, const std::vector<int>& dims = {}, bool keepdim = false);
Variable mean(const Variable& x, const std::vector<int>& dims = {}, bool keepdim = false);
Variable max(const Variable& x, int dim, bool keepdim = false);  // the gradient goes to the first of equals
Variable logsumexp(const Variable& x, int dim, bool keepdim = false);
Tensor argmax(const Tensor& x, int dim = -1);  // i64, the first of equals
struct TopK {
  Tensor values, indices;
};
TopK topk(const Tensor& x, int64_t k);  // of the last dimension, falling; equals in order of index
// x summed over the dimensions that broadcasting from `shape` to its shape has added or stretched; x itself
// where there is none. What broadcast gradients go through.
Variable sum_to(const Variable& x, const Shape& shape);

// --- shape.cc; cat leaves out parts of shape (0), whatever the others' shape, as PyTorch does
Variable reshape(const Variable& x, const Shape& shape);  // view where strides allow
Variable flatten(const Variable& x, int first = 0, int last = -1);
Variable permute(const Variable& x, const std::vector<int>& order);                         // view
Variable transpose(const Variable& x, int a, int b);                                        // view
Variable expand(const Variable& x, const Shape& shape);                                     // view
Variable unsqueeze(const Variable& x, int dim);                                             // view
Variable squeeze(const Variable& x, int dim);                                               // view
Variable slice(const Variable& x, int dim, int64_t start, int64_t stop, int64_t step = 1);  // view
Variable select(const Variable& x, int dim, int64_t index);                                 // view
Variable cat(const Variables& parts, int dim);
Variable stack(const Variables& parts, int dim);
Variable contiguous(const Variable& x);
Variable to(const Variable& x, DType dtype);  // floating types only

// --- matmul.cc
Variable matmul(const Variable& a,
                const Variable& b);  // (..., m, k) x (..., k, n), leading dimensions broadcast
// x (..., in), weight (out, in), bias (out) or undefined -> (..., out) = x weight^T + bias
Variable linear(const Variable& x, const Variable& weight, const Variable& bias = {});

// --- softmax.cc
Variable softmax(const Variable& x, int dim = -1);
Variable log_softmax(const Variable& x, int dim = -1);

// --- cross_entropy.cc (once): logits (n, v), targets (n) i64; label smoothing as Szegedy et al. 2016.
enum class Reduction { mean, sum, none };
// `weight` (v), of the logits' type: of the classes; undefined: all 1. As in PyTorch the mean divides by the
// weights of the targets, over the rows that are not ignored; when all are, the loss is 0 (PyTorch gives NaN
// there: a batch of nothing but padding should not poison a run). Without any row it is NaN, as there.
Variable cross_entropy(const Variable& logits, const Tensor& targets, int64_t ignore_index = -100,
                       double label_smoothing = 0, Reduction reduction = Reduction::mean,
                       const Tensor& weight = {});

// --- conv2d.cc (once)
Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias,
                const tensor::Conv2dOptions& options);
// --- pool.cc (once)
Variable max_pool2d(const Variable& x, const tensor::Pool2dOptions& options);
Variable adaptive_avg_pool2d(const Variable& x, int64_t out_h, int64_t out_w);
// --- batch_norm.cc (once): 16-bit x with f32 weight and bias is possible; statistics are f32 then.
// Statistics of the batch (train) or the running ones; returns the output
struct BatchNormStatistics {
  Tensor mean, variance;  // of the batch, biased; undefined when evaluating
};
Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    const Tensor& running_mean, const Tensor& running_var, bool train, double eps,
                    BatchNormStatistics* statistics = nullptr);

// --- embedding.cc: weight (v, d), ids i64 of any shape -> ids.shape + (d)
Variable embedding(const Variable& weight, const Tensor& ids);

// --- dropout.cc: Hinton et al. 2012, inverted; the identity when not training or p is 0
Variable dropout(const Variable& x, double p, bool train,
                 tensor::Generator& generator = tensor::default_generator());

// --- lstm.cc (once): gate order i, f, g, o; two biases, as in PyTorch
struct LstmState {
  Variable h, c;  // (n, hidden)
};
// weight_ih (4h, in), weight_hh (4h, h), biases (4h) or undefined; x (n, in). With 16-bit x, h and weights, c
// and the biases may be f32: then c stays f32, as it does under autocast (PyTorch rounds it there), and h has
// x's type. Gates are f32.
LstmState lstm_cell(const Variable& x, const LstmState& state, const Variable& weight_ih,
                    const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh);
// The same made of plain ops: its oracle, and what second derivatives need.
LstmState lstm_cell_composed(const Variable& x, const LstmState& state, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh);
// One layer over a sequence as one node: x (t, n, in), state (n, h) -> outputs (t, n, h) and the last state.
struct LstmSequence {
  Variable outputs;
  LstmState last;
};
LstmSequence lstm_sequence(const Variable& x, const LstmState& state, const Variable& weight_ih,
                           const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh);

// --- attention.cc (once): see additive_attention in tensor/kernels.h. With 16-bit keys, values and query, v
// and v_bias may be f32; alpha has v's type.
struct Attention {
  Variable context, alpha;  // (n, d), (n, p)
};
Attention additive_attention(const Variable& keys, const Variable& values, const Variable& query,
                             const Tensor& image, const Variable& v, const Variable& v_bias);
Attention additive_attention_composed(const Variable& keys, const Variable& values, const Variable& query,
                                      const Tensor& image, const Variable& v, const Variable& v_bias);

}  // namespace autograd
