// What kernels are told besides tensors, and the arguments of those with many tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "tensor/host_device.h"
#include "tensor/tensor.h"

namespace tensor {

enum class UnaryOp { neg, abs, exp, log, sqrt, rsqrt, reciprocal, relu, relu6, tanh, sigmoid, square, sign };
enum class BinaryOp { add, sub, mul, div, pow, maximum, minimum, eq, ne, lt, le, gt, ge };
inline bool is_comparison(BinaryOp op) { return op >= BinaryOp::eq; }  // gives bool
enum class ReduceOp { sum, mean, max, min };
enum class Activation { none, relu, relu6 };
enum class PackedFor { few_rows, many_rows };  // what a packed matrix is laid out for: under 64 rows, or more

const char* name_of(UnaryOp op);   // "neg"
const char* name_of(BinaryOp op);  // "add"

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

// Row i with targets[i] == ignore_index counts nothing and has loss 0.
struct CrossEntropyOptions {
  int64_t ignore_index = -100;
  double smoothing = 0;
};

// Each struct of arguments names every one of its tensors once, in outputs() or inputs(): the check of
// devices and the widening of 16-bit floats go by these lists. operands() are those that the kernel reads or writes
// in 16 bits as they are, of the other numbers' type or of a 16-bit one.

// Such a one in a list of arguments.
template <class T>
struct AsItIs {
  T& tensor;

  AsItIs(T& t) : tensor(t) {}
  operator T&() const { return tensor; }
  T* operator->() const { return &tensor; }
  template <class F>
  void for_each_tensor(F& f) const {
    f(tensor);
  }
};
using Operand = AsItIs<const Tensor>;
using OperandOut = AsItIs<Tensor>;

struct BatchNormBackward {
  Tensor dx, dweight, dbias;
  Tensor dout, x, mean, rstd, weight;  // weight may be undefined
  bool train = false;                  // mean and rstd are those of x itself and get gradients, too

  auto outputs() { return std::tie(dx, dweight, dbias); }
  auto inputs() { return std::tie(dout, x, mean, rstd, weight); }
};

// Which elements dropout keeps, each with the probability 1 - p: by the blocks of stream `seed` from `offset` on.
struct DropoutMask {
  double p = 0.5;
  uint64_t seed = 0, offset = 0;
  // (2) i64, if any: a seed in place of the other, and an offset that is added to the other. So a step whose launches are
  // recorded draws other numbers each time.
  Tensor origin = {};

  auto outputs() { return std::tuple<>(); }
  auto inputs() { return std::tie(origin); }
};

struct LstmCell {
  Tensor h, c, gates;     // (n, h), (n, h), (n, 4h)
  Tensor pre, c_prev;     // (n, 4h), may be the gates; (n, h)
  Tensor h_operand = {};  // (n, h), if any: h once more, in 16 bits, for the products that it goes into

  auto outputs() { return std::tie(h, c, gates); }
  auto inputs() { return std::tie(pre, c_prev); }
  auto operands() { return std::tie(h_operand); }
};

struct LstmCellBackward {
  Tensor dpre, dc_prev;  // (n, 4h), may be the gates; (n, h), may be dc
  Tensor dh, dc, gates, c, c_prev;
  Tensor dpre_operand = {};  // (n, 4h), if any: dpre once more, in 16 bits

  auto outputs() { return std::tie(dpre, dc_prev); }
  auto inputs() { return std::tie(dh, dc, gates, c, c_prev); }
  auto operands() { return std::tie(dpre_operand); }
};

struct AdditiveAttention {
  Tensor context, alpha;
  Tensor keys, values, query, image, v, v_bias;  // v_bias may be undefined

  auto outputs() { return std::tie(alpha); }
  auto inputs() { return std::tie(query, image, v, v_bias); }
  auto operands() { return std::tie(context, keys, values); }
};

struct AdditiveAttentionBackward {
  Tensor dquery, dkeys, dvalues, dv, dv_bias;                     // dvalues and dv_bias may be undefined
  Tensor dcontext, dalpha, alpha, keys, values, query, image, v;  // dalpha may be undefined

  auto outputs() { return std::tie(dkeys, dvalues, dv, dv_bias); }
  auto inputs() { return std::tie(dcontext, dalpha, alpha, query, image, v); }
  auto operands() { return std::tie(dquery, keys, values); }
};

// Where a training step's numbers stand in its block, a tensor of f64 that stays on the device of what is trained, so that
// the host need not wait for them (optim/step_block.h).
struct StepPlace {
  enum : int64_t {
    skip,            // 1: the step is not made
    good,            // steps made since the block's beginning, without this one
    gradient_scale,  // what its gradients are multiplied by: the clip coefficient
    loss_scale,      // of the next step
    growth,          // good steps in a row since the loss scale changed
    loss,            // of this step
    tokens,          // that it is the mean of
    squares,         // of its gradients, summed
    bad_tensor,      // this and the next two as first_not_finite gives them
    bad_element,
    bad_value,
    count
  };
};

// What a step needs to know of itself that only the block knows: both are set or neither. The step's rate is
// rates[good], or the last one; it counts from `step` on.
struct FromBlock {
  Tensor block, rates;  // (StepPlace::count) f64; (n) f64, n > 0
};

// A step of Adam or AdamW on the tensors of a parameter group. With a block, lr and gradient_scale are not read.
struct AdamStep {
  std::vector<Tensor> weights, m, v;
  std::vector<Tensor> gradients;
  FromBlock from = {};
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false;     // AdamW: the decay acts on the weight; Adam: it is added to the gradient
  int64_t step = 1;           // 1 for the first step
  double gradient_scale = 1;  // multiplies the gradients: unscaling and clipping

  auto outputs() { return std::tie(weights, m, v); }
  auto inputs() { return std::tie(gradients, from.block, from.rates); }
};

// A step of stochastic gradient descent. The buffers may be undefined when momentum is 0. With a block as AdamStep.
struct SgdStep {
  std::vector<Tensor> weights, buffers;
  std::vector<Tensor> gradients;
  FromBlock from = {};
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  int64_t step = 1;  // in the first one the buffers are set, not decayed
  double gradient_scale = 1;

  auto outputs() { return std::tie(weights, buffers); }
  auto inputs() { return std::tie(gradients, from.block, from.rates); }
};

// averages = decay averages + (1 - decay) parameters, where `decay` is at most (1 + t) / (10 + t) with `warm_up`, and
// t / (t + 1) without a value: all count alike. t: updates before this one; at 0 the parameters are copied.
struct AverageStep {
  std::vector<Tensor> averages;
  std::vector<Tensor> parameters;
  Tensor block = {};  // if any: a step that it skips changes nothing, and its good steps add to t
  std::optional<double> decay = {};
  bool warm_up = false;
  int64_t t = 0;

  auto outputs() { return std::tie(averages); }
  auto inputs() { return std::tie(parameters, block); }
};

// How a step's numbers come from its loss and gradients.
struct FinishStep {
  Tensor block;
  Tensor loss, squares;  // (1) f64 each: the loss; the sum of squares of the gradients, without a loss scale
  Tensor bad;            // (3) f64, of the gradients with their loss scale; undefined: none is used
  Tensor origin = {};    // if any: of the step's random numbers (DropoutMask); moves on by `drawn` blocks
  int64_t drawn = 0;
  int64_t tokens = 0;                              // that the loss is the mean of, where that is counted
  double clip_norm = 0;                            // 0: none
  double growth_factor = 2, backoff_factor = 0.5;  // of the loss scale
  int64_t growth_interval = 2000;

  auto outputs() { return std::tie(block, origin); }
  auto inputs() { return std::tie(loss, squares, bad); }
};

// Tokens that a search never takes, each once; -1: none.
struct TokenList {
  int64_t tokens[3] = {-1, -1, -1};

  IMGCAP_HOST_DEVICE bool has(int64_t token) const {
    return token == tokens[0] || token == tokens[1] || token == tokens[2];
  }
};

// What a search knows of an image, or of a caption that is drawn, after a step.
enum class SearchState : uint8_t { goes_on, done, not_a_number };

// How many hypotheses of an image are open, finished and unfinished.
struct BeamCount {
  enum : int64_t { open, finished, unfinished, count };
};

// A hypothesis that has ended: after how many tokens and with which rank among the open ones it was left; of a finished one,
// the log-probability of its end; the hypothesis' log-probability and score.
struct BeamEnd {
  enum : int64_t { tokens, rank, log_probability, sum, score, count };
};

// How the hypotheses of a beam search go on by one token (beam_search() in imgcap/decoding), image by image, where they stay
// on their device. Those of an image stand side by side, the likeliest first. k is as many tokens as may be needed: one more
// than the beam, and those that are forbidden.
struct BeamStep {
  Tensor rows,
      words;  // (images * beam) i64, for the next step: the row that a hypothesis had in this one; its token
  Tensor next_scores;  // (images, beam) f64: log-probabilities of the open ones, falling
  Tensor
      tree;  // (3, images, beam) f64, of the open ones: rank of the parent; token, -1: there is none; its log-probability
  Tensor
      ended;  // (images, 2, beam, BeamEnd::count) f64: the finished ones as they came, the unfinished by falling score
  Tensor counts;          // (images, BeamCount::count) i64
  Tensor state;           // (images) u8: SearchState
  Tensor values, tokens;  // (images * w, k), i64: each row's likeliest tokens, falling; w is 1 or the beam
  Tensor scores;          // (images, beam) f64: next_scores of the step before
  Tensor stop = {};       // (images) u8, if any: 1 ends an image with what it has
  int64_t nbest = 1, end_token = 0;
  TokenList forbidden = {};
  int64_t step = 1;   // tokens with this one
  bool last = false;  // only the end may come now
  // What a log-probability is divided by for a score: after this step, before it, and at the longest.
  double divisor = 1, divisor_before = 1, divisor_at_last = 1;

  auto outputs() { return std::tie(rows, words, next_scores, tree, ended, counts, state); }
  auto inputs() { return std::tie(values, tokens, scores, stop); }
};

// A token for each row, drawn with its probability.
struct DrawTokens {
  Tensor tokens, chosen;  // (n) i64, kNone or kNotANumber where there is none; (n) f64: its log-probability
  Tensor log_probabilities;  // (n, v)
  Tensor indices = {};       // (n, v) i64: their tokens; undefined: 0, 1, ...
  Tensor uniforms;           // (n) f64 in [0, 1)
  TokenList forbidden = {};
  int64_t most = 0;  // takes only the first so many that are not forbidden; 0: all
  double temperature = 1;
  double top_p =
      1;  // under 1: of the fewest of the likeliest that have this share of the probability, those first

  static constexpr int64_t kNone = -1;        // none can come: all have the probability 0
  static constexpr int64_t kNotANumber = -2;  // one of the row is NaN

  auto outputs() { return std::tie(tokens, chosen); }
  auto inputs() { return std::tie(log_probabilities, indices, uniforms); }
};

// What follows from the tokens that were drawn for n captions, where they stay on their device, and the numbers that the
// next ones are drawn with. Captions of one stream draw from it in their order, a block for each that is open.
struct SampleStep {
  Tensor words, uniforms;  // (n) i64, f64, for the next step
  Tensor next_state;       // (n) u8: SearchState
  Tensor next_places;      // (n, 2) i64
  Tensor tree;             // (2, n) f64: the token, kNothing or kEnded; its log-probability
  Tensor tokens, chosen;   // as DrawTokens gives them
  Tensor state, places;    // next_state and next_places of the step before: a stream's seed and next block
  Tensor stream;           // (n) i64: equal ones draw from one stream
  Tensor stop = {};        // (n) u8, if any: 1 ends a caption after this step
  int64_t end_token = 0;
  bool last = false;  // only the end may come now

  static constexpr int64_t kNothing = -1;  // no token could come
  static constexpr int64_t kEnded = -2;    // it had ended before

  auto outputs() { return std::tie(words, uniforms, next_state, next_places, tree); }
  auto inputs() { return std::tie(tokens, chosen, state, places, stream, stop); }
};

}  // namespace tensor
