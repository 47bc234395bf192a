#include <doctest/doctest.h>

#include <vector>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::AdditiveAttention;
using tensor::AdditiveAttentionBackward;
using tensor::Device;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

const Device kDevices[] = {Device::cpu(), Device::cuda()};

struct Case {
  int64_t images, places, width, features, rows;
  DType type = DType::f32, operands = DType::f32;
  bool apart = false;  // rows lie apart, and the bias and some gradients are left out
};

// (rows, columns), a part of wider rows where they lie apart.
Tensor matrix(uint32_t seed, int64_t rows, int64_t columns, const Case& c, Device device) {
  const Tensor x = made(seed, {rows, columns + 6}).to(c.type).to(device).slice(1, 1, 1 + columns);
  return c.apart ? x : x.contiguous();
}

Tensor images_of(const Case& c, Device device) {
  return made(1, {c.rows}, 0, static_cast<double>(c.images)).to(DType::i64).to(device);
}

Tensor of(uint32_t seed, const Shape& shape, DType type, Device device) {
  return made(seed, shape).to(type).to(device);
}

AdditiveAttention attend(const Case& c, Device device) {
  AdditiveAttention a;
  a.context = matrix(9, c.rows, c.features, c, device);
  a.alpha = Tensor::empty({c.rows, c.places}, c.type, device);
  a.keys = of(2, {c.images, c.places, c.width}, c.operands, device);
  a.values = of(3, {c.images, c.places, c.features}, c.operands, device);
  a.query = matrix(4, c.rows, c.width, c, device);
  a.image = images_of(c, device);
  a.v = of(5, {c.width}, c.type, device);
  if (!c.apart) a.v_bias = of(6, {1}, c.type, device);
  kernels::additive_attention(a);
  return a;
}

// From the attention weights of the CPU: the gradients alone are compared.
AdditiveAttentionBackward gradients(const Case& c, Device device) {
  const AdditiveAttention forward = attend(c, Device::cpu());
  AdditiveAttentionBackward a;
  a.alpha = forward.alpha.to(device), a.v = forward.v.to(device), a.image = forward.image.to(device);
  a.keys = forward.keys.to(device), a.values = forward.values.to(device);
  a.query = matrix(4, c.rows, c.width, c, device), a.dcontext = matrix(10, c.rows, c.features, c, device);
  a.dquery = matrix(11, c.rows, c.width, c, device);
  a.dkeys = of(12, {c.images, c.places, c.width}, c.type, device);  // they are added to
  a.dv = of(13, {c.width}, c.type, device);
  if (!c.apart) {
    a.dvalues = of(14, {c.images, c.places, c.features}, c.type, device);
    a.dv_bias = of(15, {1}, c.type, device);
    a.dalpha = of(16, {c.rows, c.places}, c.type, device);
  }
  kernels::additive_attention_backward(a);
  return a;
}

// Sums of this many numbers at most.
double band(const Case& c) {
  switch (c.type) {
    case DType::f32:
      return 4e-6;
    case DType::f64:
      return 1e-14;
    case DType::f16:
      return 0x1p-10;
    default:
      return 0x1p-7;
  }
}

void check_case(const Case& c) {
  const std::string text = tensor::format("{} {} {} {} {} {} {}", c.images, c.places, c.width, c.features,
                                          c.rows, tensor::name_of(c.type), tensor::name_of(c.operands));
  const AdditiveAttention want = attend(c, kDevices[0]), got = attend(c, kDevices[1]);
  CHECK_MESSAGE(worst_error(got.alpha, want.alpha, 1) <= band(c), text);
  CHECK_MESSAGE(worst_error(got.context, want.context, 1) <= band(c), text);
  const AdditiveAttentionBackward want_g = gradients(c, kDevices[0]), got_g = gradients(c, kDevices[1]);
  const auto check_gradient = [&](const char* what, Tensor AdditiveAttentionBackward::*member) {
    const Tensor &a = got_g.*member, &b = want_g.*member;
    if (b.defined()) CHECK_MESSAGE(worst_error(a, b, 1) <= band(c), what, " ", text);
  };
  check_gradient("dquery", &AdditiveAttentionBackward::dquery);
  check_gradient("dkeys", &AdditiveAttentionBackward::dkeys);
  check_gradient("dvalues", &AdditiveAttentionBackward::dvalues);
  check_gradient("dv", &AdditiveAttentionBackward::dv);
  check_gradient("dv_bias", &AdditiveAttentionBackward::dv_bias);
}

}  // namespace

TEST_CASE("additive attention and its gradients as on the CPU, at sizes around warps, blocks and packs") {
  for (const auto& [type, operands] :
       {std::pair(DType::f32, DType::f32), std::pair(DType::f64, DType::f64),
        std::pair(DType::f32, DType::f16), std::pair(DType::f32, DType::bf16),
        std::pair(DType::f16, DType::f16), std::pair(DType::bf16, DType::bf16)})
    for (const bool apart : {false, true}) {
      check_case({1, 1, 1, 1, 1, type, operands, apart});
      check_case({3, 4, 7, 8, 5, type, operands, apart});
      check_case({2, 9, 33, 40, 3, type, operands, apart});
      check_case({2, 33, 31, 255, 2, type, operands, apart});
      check_case({4, 5, 257, 16, 40, type, operands, apart});
    }
  check_case({2, 300, 10, 264, 2});
  check_case({1, 3, 8, 8, 70});  // more rows of an image than a warp has lanes
}

TEST_CASE(
    "additive attention: keys and values of different types, no rows, and rows that look at few images") {
  Case c{3, 4, 7, 8, 5};
  AdditiveAttention a = attend(c, Device::cuda()), b = attend(c, Device::cpu());
  a.values = a.values.to(DType::f16), b.values = b.values.to(DType::f16);
  kernels::additive_attention(a);
  kernels::additive_attention(b);
  CHECK(worst_error(a.context, b.context, 1) <= 4e-6);
  c.rows = 0;
  CHECK(attend(c, Device::cuda()).context.numel() == 0);
  CHECK(same_values(gradients(c, Device::cuda()).dkeys, gradients(c, Device::cpu()).dkeys));
}

TEST_CASE("additive attention: the context and the query's gradient in 16 bits are those in f32, rounded") {
  for (const DType operands : {DType::f32, DType::f16, DType::bf16})
    for (const DType written : {DType::f16, DType::bf16}) {
      const Case c{3, 4, 7, 8, 5, DType::f32, operands, true};
      // Rows apart, as where a context is a part of a layer's input.
      const auto room = [&](int64_t columns) {
        return Tensor::zeros({c.rows, columns + 4}, written, Device::cuda());
      };
      const auto inside = [](const Tensor& wide) { return wide.slice(1, 2, wide.size(1) - 2); };
      const auto around = [](const Tensor& wide) {
        return numbers(wide.slice(1, 0, 2)) == numbers(wide.slice(1, wide.size(1) - 2, wide.size(1)));
      };
      AdditiveAttention a = attend(c, Device::cuda());
      const Tensor context = a.context, context_room = room(c.features);
      a.context = inside(context_room);
      kernels::additive_attention(a);
      CHECK(same_values(a.context, context.to(written)));
      CHECK(around(context_room));
      AdditiveAttentionBackward g = gradients(c, Device::cuda());
      const Tensor dquery = g.dquery, dquery_room = room(c.width);
      g.dquery = inside(dquery_room);
      kernels::additive_attention_backward(g);
      CHECK(same_values(g.dquery, dquery.to(written)));
      CHECK(around(dquery_room));
    }
}

TEST_CASE("additive attention: an image that there is not is said at the next wait") {
  Case c{3, 4, 7, 8, 5};
  const auto wait = [] { tensor::cuda::runtime_of(Device::cuda(), "test").wait(0); };
  AdditiveAttention a = attend(c, Device::cuda());
  a.image = Tensor::from<int64_t>({0, 2, 1, 3, -1}, {5}, Device::cuda());
  kernels::additive_attention(a);
  CHECK(refused(wait, tensor::ErrorKind::index) == "additive_attention: row 3 asks for image 3 of 3");
  CHECK(numbers(a.context.select(0, 3)) == std::vector<double>(8, 0));
  AdditiveAttentionBackward g = gradients(c, Device::cuda());
  g.image = a.image;
  kernels::additive_attention_backward(g);
  CHECK(refused(wait, tensor::ErrorKind::index) ==
        "additive_attention_backward: row 3 asks for image 3 of 3");
  CHECK(numbers(g.dquery.select(0, 4)) == std::vector<double>(7, 0));
}

TEST_CASE("additive attention: as many places as a block has shared memory for") {
  check_case({1, 12032, 2, 1, 1});
  check_case({1, 6016, 2, 1, 1, DType::f64, DType::f64});
  CHECK(refused([] {
          attend({1, 12033, 2, 1, 1}, Device::cuda());
        }) == "additive_attention: 12033 places, and a device's kernel takes 12032");
  CHECK(refused([] {
          gradients({1, 6017, 2, 1, 1, DType::f64, DType::f64}, Device::cuda());
        }) == "additive_attention_backward: 6017 places, and a device's kernel takes 6016");
}

TEST_CASE("additive attention: launches, what they read and write, and the same bits in any order") {
  const Case c{5, 9, 64, 64, 5};
  AdditiveAttention a = attend(c, Device::cuda());
  a.image = Tensor::arange(5, DType::i64, Device::cuda());
  const double keys = 5 * 9 * 64, rows = 5 * 64, places = 5 * 9;
  expect_launches(
      "additive_attention", {1, 6 * keys + 7 * places, 8 * keys + 8 * rows + 4 * places + 4 * 64 + 4 + 8 * 5},
      [&] { kernels::additive_attention(a); }, 9);
  AdditiveAttentionBackward g = gradients(c, Device::cuda());
  g.image = a.image;
  const double first = 8 * keys + 12 * rows + 12 * places + 4 * 64 + 40 + 8 * 5 * 65,
               second = 20 * keys + 8 * rows + 8 * places + 4 * 64 + 40, third = 65 * 16;
  expect_launches(
      "additive_attention_backward", {3, 18 * keys + 6 * places + 65, first + second + third},
      [&] { kernels::additive_attention_backward(g); }, 30);
  expect_same_in_any_order([&] { return attend(c, Device::cuda()).context; });
  for (const auto member : {&AdditiveAttentionBackward::dquery, &AdditiveAttentionBackward::dkeys,
                            &AdditiveAttentionBackward::dvalues, &AdditiveAttentionBackward::dv})
    expect_same_in_any_order([&] { return gradients({2, 40, 30, 20, 50}, Device::cuda()).*member; });
}
