// Everything a device must be able to do, on one page. Each kernel stands here once: the macro makes an
// object kernels::NAME (kernel.h) from checks::NAME (tensor/checks/: what holds on every device), cpu::NAME
// (tensor/cpu/) and cuda::NAME, which is null in a program that no such kernel is linked into.
//
// Rules: outputs come first and are allocated by the caller with the right shape, dtype and device. Unless a
// line says otherwise, inputs may have any strides and outputs are contiguous. The types are those of
// kernel_types.h; indices i64. A kernel's error begins with its name. Values that only the device can read
// (indices in range) are checked by the kernel itself. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/kernel.h"
#include "tensor/kernel_options.h"
#include "tensor/nhwc.h"
#include "tensor/tensor.h"

#define IMGCAP_KERNEL_ON(devices, name, ...)                                                              \
  namespace checks {                                                                                      \
  void name(__VA_ARGS__);                                                                                 \
  }                                                                                                       \
  namespace cpu {                                                                                         \
  void name(__VA_ARGS__);                                                                                 \
  }                                                                                                       \
  namespace cuda {                                                                                        \
  [[gnu::weak]] void name(__VA_ARGS__);                                                                   \
  }                                                                                                       \
  namespace linked {                                                                                      \
  inline auto name() -> void (*)(__VA_ARGS__) { return cuda::name; }                                      \
  }                                                                                                       \
  namespace kernels {                                                                                     \
  inline constexpr Kernel<void(__VA_ARGS__), devices> name(#name, checks::name, cpu::name, linked::name); \
  }
#define IMGCAP_KERNEL(name, ...) IMGCAP_KERNEL_ON(Across::one_device, name, __VA_ARGS__)

namespace tensor {

// --- copy.cc: out may have any strides; x broadcasts to out and is converted to its type
IMGCAP_KERNEL_ON(Across::devices, copy, Tensor& out, const Tensor& x)
// What tensors on the CPU hold, one behind the other; all are contiguous and of one type. To a device in one copy.
IMGCAP_KERNEL_ON(Across::devices, copy_pieces, Tensor& out, const std::vector<Tensor>& pieces)
IMGCAP_KERNEL(fill, Tensor& out, double value)

// --- elementwise.cc: inputs broadcast to out's shape
IMGCAP_KERNEL(unary, Tensor& out, const Tensor& x, UnaryOp op)
IMGCAP_KERNEL(binary, Tensor& out, const Tensor& a, const Tensor& b, BinaryOp op)  // comparisons give bool
IMGCAP_KERNEL(affine, Tensor& out, const Tensor& x, double scale, double shift)    // scale x + shift
IMGCAP_KERNEL(clamp, Tensor& out, const Tensor& x, double low, double high)
IMGCAP_KERNEL(where, Tensor& out, const Tensor& condition, const Tensor& a,
              const Tensor& b)  // condition: bool
// out += scale x; same shape; out may have any strides
IMGCAP_KERNEL(add_inplace, Tensor& out, const Tensor& x, double scale)

// --- reduce.cc
// `dims` are reduced; out has them with size 1 (or is out's shape with them dropped). An empty mean is NaN.
IMGCAP_KERNEL(reduce, Tensor& out, const Tensor& x, const std::vector<int>& dims, ReduceOp op)
IMGCAP_KERNEL(argmax, Tensor& out, const Tensor& x)  // over the last dimension; the first of equals
// The k greatest of the last dimension in falling order; equals in order of index.
IMGCAP_KERNEL(topk, Tensor& values, Tensor& indices, const Tensor& x, int64_t k)
IMGCAP_KERNEL(cumsum, Tensor& out, const Tensor& x)  // along the last dimension
// out[0] = sum over all tensors of sum of squares, in f64; out is (1) f64.
IMGCAP_KERNEL(sum_squares, Tensor& out, const std::vector<Tensor>& tensors)

// --- matmul.cc: (m, k) x (k, n), or the same with one leading batch dimension on both (size 1 broadcasts).
// out may have row stride > n. out = alpha a b + beta out; beta 0 does not read out.
IMGCAP_KERNEL(matmul, Tensor& out, const Tensor& a, const Tensor& b, double alpha, double beta)
// --- packed_matrix.cc, for PackedMatrix (packed_matrix.h): b (k, n) laid out for the inner kernel of the
// device that it is on, in as many elements as that wants
IMGCAP_KERNEL(pack_matrix, Tensor& packed, const Tensor& b, PackedFor use)
// out (m, n) = a (m, k) b, or out += a b with `accumulate`; rows of a and out may be strided, columns not
IMGCAP_KERNEL(packed_matmul, Tensor& out, const Tensor& a, const Tensor& packed, PackedFor use,
              bool accumulate)

// --- narrow_matrix.cc, for NarrowMatrix (narrow_matrix.h): a stored weight (n, k), f32, f16, bf16 or u8 with
// scales (n) f16, laid out for the inner kernel in its own type
IMGCAP_KERNEL(pack_narrow, Tensor& packed, Tensor& packed_scales, const Tensor& weight, const Tensor& scales)
// out (m, n) = a (m, k) weight^T, or out += with `accumulate`; rows of a and out may be strided, columns not
IMGCAP_KERNEL(narrow_matmul, Tensor& out, const Tensor& a, const Tensor& packed, const Tensor& packed_scales,
              bool accumulate)
// Rows ids (m) of a stored weight, widened into out (m, k), whose rows may be strided
IMGCAP_KERNEL(stored_rows, Tensor& out, const Tensor& weight, const Tensor& scales, const Tensor& ids)

// --- softmax.cc: along the last dimension; x and out contiguous
IMGCAP_KERNEL(softmax, Tensor& out, const Tensor& x)
IMGCAP_KERNEL(log_softmax, Tensor& out, const Tensor& x)

// --- cross_entropy.cc: logits (n, v) contiguous, targets (n) i64. With smoothing s and class weights w (v;
// undefined: all 1): (1 - s) * w[target] * -log p[target] + s * mean over classes of -w log p. losses is (n).
// Logits of 16 bits and their gradient are read and written as they are.
IMGCAP_KERNEL(cross_entropy, Tensor& losses, Operand logits, const Tensor& targets, const Tensor& weight,
              const CrossEntropyOptions& options)
// dlogits = row_gradient[i] * d losses[i] / d logits[i]; may be the logits themselves (in place).
IMGCAP_KERNEL(cross_entropy_backward, OperandOut dlogits, Operand logits, const Tensor& targets,
              const Tensor& weight, const Tensor& row_gradient, const CrossEntropyOptions& options)

// --- conv2d.cc: x (n, c, h, w), w (o, c / groups, kh, kw), bias (o) or undefined; all contiguous
IMGCAP_KERNEL(conv2d, Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias,
              const Conv2dOptions& options)
IMGCAP_KERNEL(conv2d_backward_input, Tensor& dx, const Tensor& dout, const Tensor& w,
              const Conv2dOptions& options)
IMGCAP_KERNEL(conv2d_backward_weight, Tensor& dw, const Tensor& dout, const Tensor& x,
              const Conv2dOptions& options)

// --- nhwc.cc: inference with channels last (nhwc.h); the pictures of a call are of one type, f32, f16 or bf16
IMGCAP_KERNEL(nhwc_from_nchw, NhwcBatch& out,
              const Tensor& x)  // x (n, c, h, w) f32; also clears out's border
// weight (o, c / groups, kh, kw), one group or depthwise; output channel i is multiplied by scale[i], and
// bias[i] added
IMGCAP_KERNEL(pack_conv2d, PackedConv2d& packed, const Tensor& weight, const std::vector<double>& scale,
              const std::vector<double>& bias)
// out = activation(conv(x) + bias + residual); residual may be null, and may share out's memory where their
// borders are the same. Clears out's border. For x without the border that weight.border_for() gives a copy is
// made. On the CPU bits do not depend on the batch; cuBLASLt chooses by its size.
IMGCAP_KERNEL(conv2d_nhwc, NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight,
              const Conv2dOptions& options, const NhwcBatch* residual, Activation activation)
IMGCAP_KERNEL(max_pool2d_nhwc, NhwcBatch& out, const NhwcBatch& x, const Pool2dOptions& options)

// --- pool.cc: x (n, c, h, w) contiguous; padding counts as -inf; indices (flat h * W + w of the maximum)
// like out, i64
IMGCAP_KERNEL(max_pool2d, Tensor& out, Tensor& indices, const Tensor& x, const Pool2dOptions& options)
IMGCAP_KERNEL(max_pool2d_backward, Tensor& dx, const Tensor& dout, const Tensor& indices)
IMGCAP_KERNEL(adaptive_avg_pool2d, Tensor& out, const Tensor& x)  // the output size is out's
IMGCAP_KERNEL(adaptive_avg_pool2d_backward, Tensor& dx, const Tensor& dout)

// --- norm.cc: x (n, c, ...) contiguous; all others (c). Statistics: mean and biased variance over all but c;
// the variance may be f64, since squares of f32 numbers need not fit f32.
IMGCAP_KERNEL(batch_norm_statistics, Tensor& mean, Tensor& variance, const Tensor& x)
// out = (x - mean) * rstd * weight + bias; weight and bias may be undefined
IMGCAP_KERNEL(batch_norm_apply, Tensor& out, const Tensor& x, const Tensor& mean, const Tensor& rstd,
              const Tensor& weight, const Tensor& bias)
IMGCAP_KERNEL(batch_norm_backward, BatchNormBackward arguments)

// --- embedding.cc: weight (v, d), ids any shape i64, out ids.shape + (d); an index error names the first bad
// id
IMGCAP_KERNEL(embedding, Tensor& out, const Tensor& weight, const Tensor& ids)
// dweight[ids[i]] += dout[i], in the order of i; dweight is not cleared
IMGCAP_KERNEL(embedding_backward, Tensor& dweight, const Tensor& dout, const Tensor& ids)

// --- dropout.cc: out = x * keep / (1 - p); element i is kept when word i % 4 of Philox block i / 4 of the mask, as
// a number in [0, 1), is at least p. The backward pass calls it again with the gradient: no mask is kept. Contiguous.
IMGCAP_KERNEL(dropout, Tensor& out, const Tensor& x, DropoutMask mask)

// --- lstm.cc: pre (n, 4h) the gates before activation in the order i, f, g, o; c_prev (n, h). Writes the
// activated gates (n, 4h), c and h (n, h); h once more in 16 bits where that is asked for. Rows may be strided (a slice of
// a larger buffer), columns not.
IMGCAP_KERNEL(lstm_cell, LstmCell arguments)
// From dh and dc (gradients of h and c): dpre and dc_prev; dpre once more in 16 bits where that is asked for
IMGCAP_KERNEL(lstm_cell_backward, LstmCellBackward arguments)

// --- attention.cc: additive attention (Bahdanau et al. 2015) of n queries over images: keys (m, p, a)
// projected features, values (m, p, d), query (n, a) projected state, image (n) i64 row -> image, v (a),
// v_bias (1) or undefined. alpha (n, p) = softmax_p(v . tanh(keys + query) + v_bias), context (n, d) = sum_p
// alpha values. context's rows may be strided. Keys and values, and context, may be of 16 bits beside f32.
IMGCAP_KERNEL(additive_attention, AdditiveAttention arguments)
// Adds to dkeys (m, p, a), dv (a), dv_bias (1) and, when it is defined, dvalues (m, p, d); writes dquery (n,
// a), which may be of 16 bits beside f32. dalpha (n, p): a gradient on the attention weights themselves.
IMGCAP_KERNEL(additive_attention_backward, AdditiveAttentionBackward arguments)

// --- optimizer.cc: all tensors of a parameter group in one pass; contiguous
IMGCAP_KERNEL(adamw, AdamStep step)
IMGCAP_KERNEL(sgd, SgdStep step)
IMGCAP_KERNEL(average, AverageStep step)

// --- step_block.cc
// out (3) f64: the tensor, the element in row-major order and the value of the first that is inf or NaN; -1, 0, 0 when
// there is none
IMGCAP_KERNEL(first_not_finite, Tensor& out, const std::vector<Tensor>& tensors)
// From the block of the step before: a step is skipped when its loss or, with a loss scale, a gradient is not finite. Sets
// all places.
IMGCAP_KERNEL(finish_step, FinishStep step)

// --- search.cc and draw.cc: a search that stays on its device; all contiguous. `ended`, `counts` and `state` change in
// place; an image that is done changes no more.
IMGCAP_KERNEL(beam_step, BeamStep step)
IMGCAP_KERNEL(sample_step, SampleStep step)
IMGCAP_KERNEL(draw_tokens, DrawTokens arguments)

}  // namespace tensor

#undef IMGCAP_KERNEL
#undef IMGCAP_KERNEL_ON
