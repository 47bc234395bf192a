// Every kernel looks at the device of each of its tensors.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <type_traits>

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

// The same on the first device.
Tensor elsewhere(const Tensor& t) { return t.to(Device::cuda()); }

bool is_device_error(const std::function<void()>& call, const std::string& kernel) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind() == tensor::ErrorKind::device &&
           std::string(error.what()).starts_with(kernel + ": one tensor is on");
  }
  return false;
}

// Each listed tensor on another device than the rest is refused.
template <class Arguments>
void check_devices(const std::string& kernel, const Arguments& good,
                   const std::function<void(Arguments)>& call) {
  Arguments bad = good;
  int listed = 0;
  const auto try_each = [&](auto&... tensors) {
    const auto try_one = [&](auto& entry) {
      if constexpr (std::is_same_v<std::remove_reference_t<decltype(entry)>, Tensor>) {
        const Tensor kept = entry;
        entry = elsewhere(kept);
        CHECK_MESSAGE(is_device_error([&] { call(bad); }, kernel), kernel << ": tensor " << listed);
        entry = kept;
      } else {
        const Tensor kept = entry.at(0);
        entry[0] = elsewhere(kept);
        CHECK_MESSAGE(is_device_error([&] { call(bad); }, kernel), kernel << ": tensor " << listed);
        entry[0] = kept;
      }
      ++listed;
    };
    (try_one(tensors), ...);
  };
  std::apply(try_each, bad.outputs());
  std::apply(try_each, bad.inputs());
  if constexpr (requires { bad.operands(); }) std::apply(try_each, bad.operands());
}

}  // namespace

TEST_CASE("kernels want all their tensors on one device") {
  Tensor out = Tensor::zeros({2}), at = Tensor::zeros({1}, DType::i64);
  const Tensor x = Tensor::zeros({2}), far = elsewhere(x);
  CHECK(is_device_error([&] { kernels::unary(out, far, tensor::UnaryOp::neg); }, "unary"));
  CHECK(is_device_error([&] { kernels::binary(out, x, far, tensor::BinaryOp::add); }, "binary"));
  CHECK(is_device_error([&] { kernels::where(out, elsewhere(x.to(DType::boolean)), x, x); }, "where"));
  Tensor top = Tensor::zeros({1}), total = Tensor::zeros({1}, DType::f64);
  CHECK(is_device_error([&] { kernels::topk(top, at, far, 1); }, "topk"));
  CHECK(is_device_error([&] { kernels::sum_squares(total, {x, far}); }, "sum_squares"));
  CHECK(is_device_error([&] { kernels::softmax(out, far); }, "softmax"));
  const Tensor channel = Tensor::full({1}, 1);
  const NhwcBatch in = NhwcBatch::from_nchw(Tensor::zeros({1, 1, 1, 1}));
  NhwcBatch result(1, 1, 1, 1);
  PackedConv2d packed(Tensor::zeros({1, 1, 1, 1}), {1.0}, {0.0});
  packed.bias = elsewhere(packed.bias);
  CHECK(is_device_error(
      [&] { kernels::conv2d_nhwc(result, in, packed, {}, nullptr, tensor::Activation::none); },
      "conv2d_nhwc"));

  const auto n = [](const Shape& shape) { return Tensor::full(shape, 1); };
  const Tensor row = n({2, 1}), state = n({1, 2}), gates = n({1, 8}), image = Tensor::zeros({2}, DType::i64);
  check_devices<tensor::BatchNormBackward>("batch_norm_backward",
                                           {row, channel, channel, row, row, channel, channel, channel, true},
                                           [](auto a) { kernels::batch_norm_backward(a); });
  check_devices<tensor::LstmCell>("lstm_cell", {state, state, gates, gates, state, state.to(DType::f16)},
                                  [](auto a) { kernels::lstm_cell(a); });
  check_devices<tensor::LstmCellBackward>(
      "lstm_cell_backward", {gates, state, state, state, gates, state, state, gates.to(DType::f16)},
      [](auto a) { kernels::lstm_cell_backward(a); });
  check_devices<tensor::AdditiveAttention>(
      "additive_attention",
      {n({2, 5}), n({2, 3}), n({1, 3, 4}), n({1, 3, 5}), n({2, 4}), image, n({4}), channel},
      [](auto a) { kernels::additive_attention(a); });
  check_devices<tensor::AdditiveAttentionBackward>(
      "additive_attention_backward",
      {n({2, 4}), n({1, 3, 4}), n({1, 3, 5}), n({4}), channel, n({2, 5}), n({2, 3}), n({2, 3}), n({1, 3, 4}),
       n({1, 3, 5}), n({2, 4}), image, n({4})},
      [](auto a) { kernels::additive_attention_backward(a); });
  const auto numbers = [](int64_t count) { return Tensor::zeros({count}, DType::f64); };
  const Tensor block = numbers(tensor::StepPlace::count), rates = numbers(2);
  check_devices<tensor::AdamStep>(
      "adamw", {.weights = {x}, .m = {x}, .v = {x}, .gradients = {x}, .from = {block, rates}},
      [](auto a) { kernels::adamw(a); });
  check_devices<tensor::SgdStep>("sgd",
                                 {.weights = {x}, .buffers = {x}, .gradients = {x}, .from = {block, rates}},
                                 [](auto a) { kernels::sgd(a); });
  check_devices<tensor::AverageStep>("average", {.averages = {x}, .parameters = {x}, .block = block},
                                     [](auto a) { kernels::average(a); });
  check_devices<tensor::FinishStep>("finish_step",
                                    {.block = block,
                                     .loss = numbers(1),
                                     .squares = numbers(1),
                                     .bad = numbers(3),
                                     .origin = Tensor::zeros({2}, DType::i64)},
                                    [](auto a) { kernels::finish_step(a); });
}
