// The rules of the kernel page (tensor/kernels.h) that hold for every kernel alike.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels.h"

namespace {

using tensor::Device;
using tensor::DType;
using tensor::Error;
using tensor::NhwcBatch;
using tensor::PackedConv2d;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

// A small call of each kernel whose numbers have the type.
const std::map<std::string, std::function<void(DType)>>& samples() {
  const auto n = [](const Shape& shape, DType type) { return Tensor::full(shape, 1, type); };
  const auto ids = [](int64_t count) { return Tensor::zeros({count}, DType::i64); };
  const auto nothing = Tensor();
  static const std::map<std::string, std::function<void(DType)>> all{
      {"copy",
       [=](DType t) {
         Tensor out = n({2}, DType::f64), back = n({2}, t);
         kernels::copy(out, n({2}, t));
         kernels::copy(back, out);
       }},
      {"copy_pieces",
       [=](DType t) {
         Tensor out = n({3}, t);
         kernels::copy_pieces(out, {n({2}, t), n({1}, t)});
       }},
      {"fill",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::fill(out, 1);
       }},
      {"unary",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::unary(out, n({2}, t), tensor::UnaryOp::neg);
       }},
      {"binary",
       [=](DType t) {
         Tensor out = n({2}, t), truth = n({2}, DType::boolean);
         kernels::binary(out, n({2}, t), n({1}, t), tensor::BinaryOp::add);
         kernels::binary(truth, n({2}, t), n({1}, t), tensor::BinaryOp::lt);
       }},
      {"affine",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::affine(out, n({2}, t), 2, 1);
       }},
      {"clamp",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::clamp(out, n({2}, t), 0, 1);
       }},
      {"where",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::where(out, n({2}, DType::boolean), n({2}, t), n({2}, t));
       }},
      {"add_inplace",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::add_inplace(out, n({2}, t), 1);
       }},
      {"reduce",
       [=](DType t) {
         Tensor out = n({}, t);
         kernels::reduce(out, n({2}, t), {0}, tensor::ReduceOp::sum);
       }},
      {"argmax",
       [=](DType t) {
         Tensor out = n({}, DType::i64);
         kernels::argmax(out, n({2}, t));
       }},
      {"topk",
       [=](DType t) {
         Tensor out = n({1}, t), at = ids(1);
         kernels::topk(out, at, n({2}, t), 1);
       }},
      {"cumsum",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::cumsum(out, n({2}, t));
       }},
      {"sum_squares",
       [=](DType t) {
         Tensor out = n({1}, DType::f64);
         kernels::sum_squares(out, {n({2}, t)});
       }},
      {"matmul",
       [=](DType t) {
         Tensor out = n({2, 2}, t);
         kernels::matmul(out, n({2, 3}, t), n({3, 2}, t), 1, 0);
       }},
      {"pack_matrix",
       [=](DType t) {
         Tensor out;
         kernels::pack_matrix(out, n({3, 2}, t), tensor::PackedFor::few_rows);
       }},
      {"packed_matmul",
       [=](DType t) {
         Tensor packed, out = n({2, 2}, t);
         kernels::pack_matrix(packed, n({3, 2}, DType::f32), tensor::PackedFor::few_rows);
         kernels::packed_matmul(out, n({2, 3}, t), packed, tensor::PackedFor::few_rows, false);
       }},
      {"pack_narrow",
       [=](DType t) {
         Tensor packed, packed_scales;
         kernels::pack_narrow(packed, packed_scales, n({3, 2}, t),
                              t == DType::u8 ? n({3}, DType::f16) : nothing);
       }},
      {"narrow_matmul",
       [=](DType t) {
         Tensor packed, packed_scales, out = n({2, 3}, t);
         kernels::pack_narrow(packed, packed_scales, n({3, 2}, DType::f16), nothing);
         kernels::narrow_matmul(out, n({2, 2}, t), packed, packed_scales, false);
       }},
      {"stored_rows",
       [=](DType t) {
         Tensor out = n({2, 3}, DType::f32);
         kernels::stored_rows(out, n({4, 3}, t), t == DType::u8 ? n({4}, DType::f16) : nothing, ids(2));
       }},
      {"softmax",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::softmax(out, n({2}, t));
       }},
      {"log_softmax",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::log_softmax(out, n({2}, t));
       }},
      {"cross_entropy",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::cross_entropy(out, n({2, 3}, t), ids(2), n({3}, t), {});
       }},
      {"cross_entropy_backward",
       [=](DType t) {
         Tensor out = n({2, 3}, t);
         kernels::cross_entropy_backward(out, n({2, 3}, t), ids(2), nothing, n({2}, t), {});
       }},
      {"conv2d",
       [=](DType t) {
         Tensor out = n({1, 1, 1, 1}, t);
         kernels::conv2d(out, n({1, 1, 2, 2}, t), n({1, 1, 2, 2}, t), n({1}, t), {});
       }},
      {"conv2d_backward_input",
       [=](DType t) {
         Tensor out = n({1, 1, 2, 2}, t);
         kernels::conv2d_backward_input(out, n({1, 1, 1, 1}, t), n({1, 1, 2, 2}, t), {});
       }},
      {"conv2d_backward_weight",
       [=](DType t) {
         Tensor out = n({1, 1, 2, 2}, t);
         kernels::conv2d_backward_weight(out, n({1, 1, 1, 1}, t), n({1, 1, 2, 2}, t), {});
       }},
      {"nhwc_from_nchw",
       [=](DType t) {
         NhwcBatch::from_nchw(n({1, 1, 2, 2}, t));
       }},
      {"pack_conv2d",
       [=](DType t) {
         PackedConv2d(n({1, 1, 2, 2}, t), {1.0}, {0.0});
       }},
      {"conv2d_nhwc",
       [=](DType t) {
         NhwcBatch out(1, 1, 1, 1, {}, {}, t);
         const PackedConv2d packed(n({1, 1, 2, 2}, DType::f32), {1.0}, {0.0}, 1, t);
         kernels::conv2d_nhwc(out, NhwcBatch::from_nchw(n({1, 1, 2, 2}, DType::f32), {}, t), packed, {},
                              nullptr, tensor::Activation::relu);
       }},
      {"max_pool2d_nhwc",
       [=](DType t) {
         NhwcBatch out(1, 1, 1, 1, {}, {}, t);
         kernels::max_pool2d_nhwc(out, NhwcBatch::from_nchw(n({1, 1, 2, 2}, DType::f32), {}, t), {});
       }},
      {"max_pool2d",
       [=](DType t) {
         Tensor out = n({1, 1, 1, 1}, t), at = n({1, 1, 1, 1}, DType::i64);
         kernels::max_pool2d(out, at, n({1, 1, 2, 2}, t), {});
       }},
      {"max_pool2d_backward",
       [=](DType t) {
         Tensor out = n({1, 1, 2, 2}, t);
         kernels::max_pool2d_backward(out, n({1, 1, 1, 1}, t), n({1, 1, 1, 1}, DType::i64));
       }},
      {"adaptive_avg_pool2d",
       [=](DType t) {
         Tensor out = n({1, 1, 1, 1}, t);
         kernels::adaptive_avg_pool2d(out, n({1, 1, 2, 2}, t));
       }},
      {"adaptive_avg_pool2d_backward",
       [=](DType t) {
         Tensor out = n({1, 1, 2, 2}, t);
         kernels::adaptive_avg_pool2d_backward(out, n({1, 1, 1, 1}, t));
       }},
      {"batch_norm_statistics",
       [=](DType t) {
         Tensor mean = n({1}, t), variance = n({1}, t);
         kernels::batch_norm_statistics(mean, variance, n({2, 1}, t));
       }},
      {"batch_norm_apply",
       [=](DType t) {
         Tensor out = n({2, 1}, t);
         kernels::batch_norm_apply(out, n({2, 1}, t), n({1}, t), n({1}, t), n({1}, t), nothing);
       }},
      {"batch_norm_backward",
       [=](DType t) {
         const Tensor x = n({2, 1}, t), channel = n({1}, t);
         kernels::batch_norm_backward({.dx = x.clone(),
                                       .dweight = channel.clone(),
                                       .dbias = channel.clone(),
                                       .dout = x,
                                       .x = x,
                                       .mean = channel,
                                       .rstd = channel,
                                       .weight = channel,
                                       .train = true});
       }},
      {"embedding",
       [=](DType t) {
         Tensor out = n({2, 3}, t);
         kernels::embedding(out, n({4, 3}, t), ids(2));
       }},
      {"embedding_backward",
       [=](DType t) {
         Tensor out = n({4, 3}, t);
         kernels::embedding_backward(out, n({2, 3}, t), ids(2));
       }},
      {"dropout",
       [=](DType t) {
         Tensor out = n({2}, t);
         kernels::dropout(out, n({2}, t), {.p = 0.5, .seed = 1});
       }},
      {"lstm_cell",
       [=](DType t) {
         Tensor h = n({1, 2}, t), c = h.clone(), gates = n({1, 8}, t);
         kernels::lstm_cell({h, c, gates, n({1, 8}, t), n({1, 2}, t)});
       }},
      {"lstm_cell_backward",
       [=](DType t) {
         const Tensor state = n({1, 2}, t), gates = n({1, 8}, t);
         kernels::lstm_cell_backward({.dpre = gates.clone(),
                                      .dc_prev = state.clone(),
                                      .dh = state,
                                      .dc = state,
                                      .gates = gates,
                                      .c = state,
                                      .c_prev = state});
       }},
      {"additive_attention",
       [=](DType t) {
         kernels::additive_attention({.context = n({2, 5}, t),
                                      .alpha = n({2, 3}, t),
                                      .keys = n({1, 3, 4}, t),
                                      .values = n({1, 3, 5}, t),
                                      .query = n({2, 4}, t),
                                      .image = ids(2),
                                      .v = n({4}, t),
                                      .v_bias = n({1}, t)});
       }},
      {"additive_attention_backward",
       [=](DType t) {
         kernels::additive_attention_backward({.dquery = n({2, 4}, t),
                                               .dkeys = n({1, 3, 4}, t),
                                               .dvalues = n({1, 3, 5}, t),
                                               .dv = n({4}, t),
                                               .dv_bias = n({1}, t),
                                               .dcontext = n({2, 5}, t),
                                               .dalpha = n({2, 3}, t),
                                               .alpha = n({2, 3}, t),
                                               .keys = n({1, 3, 4}, t),
                                               .values = n({1, 3, 5}, t),
                                               .query = n({2, 4}, t),
                                               .image = ids(2),
                                               .v = n({4}, t)});
       }},
      {"adamw",
       [=](DType t) {
         kernels::adamw(
             {.weights = {n({2}, t)}, .m = {n({2}, t)}, .v = {n({2}, t)}, .gradients = {n({2}, t)}});
       }},
      {"sgd",
       [=](DType t) {
         kernels::sgd(
             {.weights = {n({2}, t)}, .buffers = {n({2}, t)}, .gradients = {n({2}, t)}, .momentum = 0.9});
       }},
      {"average", [=](DType t) { kernels::average({.averages = {n({2}, t)}, .parameters = {n({2}, t)}}); }},
      {"first_not_finite",
       [=](DType t) {
         Tensor out = n({3}, DType::f64);
         kernels::first_not_finite(out, {n({2}, t)});
       }},
      {"finish_step",
       [=](DType t) {
         kernels::finish_step({.block = n({tensor::StepPlace::count}, t),
                               .loss = n({1}, t),
                               .squares = n({1}, t),
                               .bad = n({3}, t)});
       }},
      {"beam_step",
       [=](DType t) {
         const auto f64 = [&](const Shape& shape) { return n(shape, DType::f64); };
         kernels::beam_step({.rows = ids(4),
                             .words = ids(4),
                             .next_scores = f64({2, 2}),
                             .tree = f64({3, 2, 2}),
                             .ended = f64({2, 2, 2, tensor::BeamEnd::count}),
                             .counts = n({2, tensor::BeamCount::count}, DType::i64),
                             .state = n({2}, DType::u8),
                             .values = n({2, 3}, t),
                             .tokens = n({2, 3}, DType::i64),
                             .scores = f64({2, 2})});
       }},
      {"sample_step",
       [=](DType t) {
         kernels::sample_step({.words = ids(2),
                               .uniforms = n({2}, t),
                               .next_state = n({2}, DType::u8),
                               .next_places = n({2, 2}, DType::i64),
                               .tree = n({2, 2}, t),
                               .tokens = ids(2),
                               .chosen = n({2}, t),
                               .state = n({2}, DType::u8),
                               .places = n({2, 2}, DType::i64),
                               .stream = ids(2)});
       }},
      {"draw_tokens",
       [=](DType t) {
         kernels::draw_tokens({.tokens = ids(2),
                               .chosen = n({2}, DType::f64),
                               .log_probabilities = n({2, 3}, t),
                               .uniforms = Tensor::zeros({2}, DType::f64)});
       }},
  };
  return all;
}

// A struct of nothing but tensors (and what follows them) lists each of them.
template <class Arguments>
constexpr size_t count_listed() {
  using Outputs = decltype(std::declval<Arguments&>().outputs());
  using Inputs = decltype(std::declval<Arguments&>().inputs());
  size_t operands = 0;
  if constexpr (requires(Arguments a) { a.operands(); })
    operands = std::tuple_size_v<decltype(std::declval<Arguments&>().operands())>;
  return std::tuple_size_v<Outputs> + std::tuple_size_v<Inputs> + operands;
}
static_assert(sizeof(tensor::LstmCellBackward) == count_listed<tensor::LstmCellBackward>() * sizeof(Tensor));
static_assert(sizeof(tensor::AdditiveAttention) ==
              count_listed<tensor::AdditiveAttention>() * sizeof(Tensor));
static_assert(sizeof(tensor::AdditiveAttentionBackward) ==
              count_listed<tensor::AdditiveAttentionBackward>() * sizeof(Tensor));
static_assert(offsetof(tensor::BatchNormBackward, train) ==
              count_listed<tensor::BatchNormBackward>() * sizeof(Tensor));
static_assert(sizeof(tensor::DropoutMask) - offsetof(tensor::DropoutMask, origin) ==
              count_listed<tensor::DropoutMask>() * sizeof(Tensor));
static_assert(sizeof(tensor::FromBlock) == 2 * sizeof(Tensor));
static_assert(offsetof(tensor::AdamStep, from) ==
              (count_listed<tensor::AdamStep>() - 2) * sizeof(std::vector<Tensor>));
static_assert(offsetof(tensor::SgdStep, from) ==
              (count_listed<tensor::SgdStep>() - 2) * sizeof(std::vector<Tensor>));
static_assert(offsetof(tensor::FinishStep, drawn) == count_listed<tensor::FinishStep>() * sizeof(Tensor));
static_assert(offsetof(tensor::BeamStep, nbest) == count_listed<tensor::BeamStep>() * sizeof(Tensor));
static_assert(offsetof(tensor::SampleStep, end_token) == count_listed<tensor::SampleStep>() * sizeof(Tensor));
static_assert(offsetof(tensor::DrawTokens, forbidden) == count_listed<tensor::DrawTokens>() * sizeof(Tensor));

}  // namespace

TEST_CASE("kernels take the types of their table, natively or widened, and no others") {
  CHECK(samples().size() == std::size(tensor::kKernelTypes));
  for (const tensor::KernelTypes& row : tensor::kKernelTypes) {
    const std::string name(row.kernel);
    REQUIRE_MESSAGE(samples().contains(name), name);
    for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::i64,
                             DType::u8, DType::boolean}) {
      CAPTURE(name);
      CAPTURE(tensor::name_of(type));
      CHECK_FALSE((row.native.has(type) && row.widened.has(type)));
      const auto& sample = samples().at(name);
      if (row.native.has(type) || row.widened.has(type))
        CHECK_NOTHROW(sample(type));
      else
        CHECK_THROWS_AS(sample(type), Error);
    }
  }
}

TEST_CASE(
    "kernels refuse outputs that they would write in the wrong places, and indices of a larger picture") {
  const auto n = [](const Shape& shape) { return Tensor::full(shape, 1); };
  const Tensor image = Tensor::zeros({2}, DType::i64);
  const tensor::AdditiveAttentionBackward good{
      n({2, 4}), n({1, 3, 4}), n({1, 3, 5}), n({4}),    n({1}), n({2, 5}), n({2, 3}),
      n({2, 3}), n({1, 3, 4}), n({1, 3, 5}), n({2, 4}), image,  n({4})};
  const auto refuses = [&](const std::function<void(tensor::AdditiveAttentionBackward&)>& change) {
    tensor::AdditiveAttentionBackward bad = good;
    change(bad);
    CHECK_THROWS_AS(kernels::additive_attention_backward(bad), Error);
  };
  CHECK_NOTHROW(kernels::additive_attention_backward(good));
  refuses([&](auto& a) { a.dkeys = n({1, 4, 3}).transpose(1, 2); });
  refuses([&](auto& a) { a.dvalues = n({1, 5, 3}).transpose(1, 2); });
  refuses([&](auto& a) { a.dv = n({8}).slice(0, 0, 8, 2); });
  refuses([&](auto& a) { a.dquery = n({4, 2}).t(); });
  refuses([&](auto& a) { a.dv_bias = n({2}); });
  CHECK_THROWS_AS(kernels::additive_attention({.context = n({5, 2}).t(),
                                               .alpha = n({2, 3}),
                                               .keys = n({1, 3, 4}),
                                               .values = n({1, 3, 5}),
                                               .query = n({2, 4}),
                                               .image = image,
                                               .v = n({4}),
                                               .v_bias = Tensor()}),
                  Error);
  Tensor small = n({1, 1, 2, 2});
  const Tensor places = Tensor::full({1, 1, 1, 1}, 4, DType::i64);
  CHECK_THROWS_WITH_AS(kernels::max_pool2d_backward(small, n({1, 1, 1, 1}), places),
                       "max_pool2d_backward: index 4 for planes of 4 elements", Error);
}
