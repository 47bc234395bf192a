#include <limits>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/window.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Pool2dOptions;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
const Device kThere = Device::cuda();
constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

std::pair<Tensor, Tensor> max_pool(const Tensor& x, const Pool2dOptions& p) {
  const Shape shape = tensor::pool2d_output_shape(x.shape(), p, "test");
  Tensor out = Tensor::empty(shape, x.dtype(), x.device()),
         indices = Tensor::empty(shape, DType::i64, x.device());
  kernels::max_pool2d(out, indices, x, p);
  return {out, indices};
}

Tensor max_pool_gradient(const Shape& x, const Tensor& dout, const Tensor& indices) {
  Tensor dx = Tensor::empty(x, dout.dtype(), dout.device());
  kernels::max_pool2d_backward(dx, dout, indices);
  return dx;
}

Tensor average(const Tensor& x, int64_t oh, int64_t ow) {
  Tensor out = Tensor::empty({x.size(0), x.size(1), oh, ow}, x.dtype(), x.device());
  kernels::adaptive_avg_pool2d(out, x);
  return out;
}

Tensor average_gradient(const Tensor& dout, int64_t h, int64_t w) {
  Tensor dx = Tensor::empty({dout.size(0), dout.size(1), h, w}, dout.dtype(), dout.device());
  kernels::adaptive_avg_pool2d_backward(dx, dout);
  return dx;
}

// Values, indices and gradients: the same as the CPU's, to the bit.
void check_max_pool(const Tensor& x, const Pool2dOptions& p) {
  CAPTURE(tensor::describe(x).text());
  const auto [out, indices] = max_pool(x.to(kThere), p);
  const auto [want, want_indices] = max_pool(x, p);
  CHECK(same_values(out, want));
  CHECK(same_values(indices, want_indices));
  const Twins dout(made(9, want.shape()).to(x.dtype()));
  CHECK(same_values(max_pool_gradient(x.shape(), dout.cuda, indices),
                    max_pool_gradient(x.shape(), dout.cpu, want_indices)));
}

// Sums are made in f64 on the device, from shares that the CPU rounds.
double band(DType type) {
  return type == DType::f64 ? 1e-15 : type == DType::f32 ? 3e-7 : type == DType::f16 ? 0x1p-10 : 0x1p-7;
}

}  // namespace

TEST_CASE("max pooling and its gradient are the CPU's, to the bit: every window and type") {
  const Pool2dOptions windows[] = {{3, 3, 2, 2, 1, 1, 1, 1, false}, {2, 3, 2, 1, 0, 1, 1, 1, true},
                                   {3, 2, 1, 3, 1, 0, 2, 1, true},  {1, 1, 1, 1, 0, 0, 1, 1, false},
                                   {3, 3, 3, 3, 1, 1, 1, 1, true},  {7, 7, 7, 7, 0, 0, 1, 1, false}};
  for (const Pool2dOptions& p : windows)
    for (const DType type : kTypes)
      check_max_pool(made(1, {2, 5, 9, 8}, 0, 5).to(DType::i64).to(type), p);  // ties
}

TEST_CASE("max pooling: planes around the sizes of warps and blocks, NaN, and infinities") {
  const Pool2dOptions p{3, 3, 1, 1, 1, 1, 1, 1, false};
  for (const int64_t n : {1, 31, 32, 33, 63, 64, 65, 257})
    check_max_pool(made(2, {1, 2, 1, n}).to(DType::f32), p);
  for (const int64_t planes : {1, 7, 8, 9}) check_max_pool(made(3, {1, planes, 5, 7}).to(DType::f64), p);
  for (const double value : {kNan, kInf, -kInf}) {
    Tensor x = made(4, {1, 2, 6, 6}).to(DType::f32);
    x.slice(2, 2, 4).fill_(value);
    check_max_pool(x, p);
    check_max_pool(Tensor::full({1, 1, 4, 4}, value), p);
  }
  CHECK(max_pool(Tensor::empty({0, 2, 4, 4}, DType::f32, kThere), p).first.numel() == 0);
}

TEST_CASE(
    "max pooling's gradient: many cells of one place, windows of padding only, and any order of places") {
  for (const int64_t cells : {1, 31, 32, 33, 100}) {
    const Shape shape{2, 5, 1, cells};
    const Twins dout(made(5, shape).to(DType::f32));
    for (const double most : {1.0, 4.0, 12.0}) {
      const Twins places(made(6, shape, -1, most).to(DType::i64));  // some are -1
      CHECK(same_values(max_pool_gradient({2, 5, 3, 4}, dout.cuda, places.cuda),
                        max_pool_gradient({2, 5, 3, 4}, dout.cpu, places.cpu)));
    }
    const Twins none(Tensor::full(shape, -1, DType::i64));
    CHECK(numbers(max_pool_gradient({2, 5, 3, 4}, dout.cuda, none.cuda)) == std::vector<double>(120, 0));
  }
  CHECK(numbers(max_pool_gradient({1, 1, 1, 2}, Tensor::empty({1, 1, 0, 3}, DType::f32, kThere),
                                  Tensor::empty({1, 1, 0, 3}, DType::i64, kThere))) ==
        std::vector<double>{0, 0});
}

TEST_CASE("max pooling's gradient: an index outside of the plane is said at the next wait") {
  const Tensor dout = Tensor::full({1, 1, 1, 3}, 1, DType::f32),
               indices = Tensor::from<int64_t>({1, 4, 0}, {1, 1, 1, 3});
  const std::string sentence = "max_pool2d_backward: index 4 for planes of 4 elements";
  CHECK(refused([&] { max_pool_gradient({1, 1, 2, 2}, dout, indices); }, ErrorKind::index) == sentence);
  const Tensor dx = max_pool_gradient({1, 1, 2, 2}, dout.to(kThere), indices.to(kThere));
  CHECK(refused([&] { dx.to_vector<float>(); }, ErrorKind::index) == sentence);
  CHECK(numbers(dx) == std::vector<double>{1, 1, 0, 0});
}

TEST_CASE("adaptive average pooling and its gradient as on the CPU, to fewer cells and to more") {
  const int64_t sizes[][4] = {{7, 7, 1, 1}, {14, 10, 7, 5}, {5, 7, 3, 2}, {3, 2, 5, 7}, {1, 1, 4, 3},
                              {8, 8, 8, 8}, {40, 33, 1, 1}, {5, 3, 2, 7}, {9, 40, 2, 3}};
  for (const auto& size : sizes)
    for (const int64_t planes : {1, 3, 9})
      for (const DType type : kTypes) {
        const int64_t h = size[0], w = size[1], oh = size[2], ow = size[3];
        CAPTURE(h);
        CAPTURE(oh);
        CAPTURE(tensor::name_of(type));
        const Twins x(made(7, {1, planes, h, w}).to(type)), dout(made(8, {1, planes, oh, ow}).to(type));
        CHECK(worst_error(average(x.cuda, oh, ow), average(x.cpu, oh, ow), 1e-2) <= band(type));
        CHECK(worst_error(average_gradient(dout.cuda, h, w), average_gradient(dout.cpu, h, w), 1e-1) <=
              band(type));
      }
  CHECK(average(Tensor::empty({0, 2, 4, 4}, DType::f32, kThere), 2, 2).numel() == 0);
  CHECK(average_gradient(Tensor::empty({0, 2, 2, 2}, DType::f32, kThere), 4, 4).numel() == 0);
  const Tensor x = Tensor::empty({1, 2, 4, 4}, DType::f32, kThere);
  Tensor out = Tensor::empty({1, 3, 2, 2}, DType::f32, kThere);
  CHECK(
      refused([&] { kernels::adaptive_avg_pool2d(out, x); }, ErrorKind::shape) ==
      "adaptive_avg_pool2d: (1, 2, 4, 4) cannot be pooled to (1, 3, 2, 2): both are (n, c, h, w) with the same n "
      "and c, not empty");
}

TEST_CASE("pooling: launches, what they read and write, and the same bits in any order") {
  const Pool2dOptions p{3, 3, 2, 2, 1, 1, 1, 1, false};
  const Tensor x = made(1, {2, 3, 8, 8}).to(DType::f32).to(kThere),
               dout = made(2, {2, 3, 4, 4}).to(DType::f32).to(kThere);
  const double in = 6 * 64, out = 6 * 16;
  // 11 of 12 numbers along each axis are in the picture.
  expect_launches(
      "max_pool2d", {1, 6 * 11 * 11, 4 * in + 12 * out}, [&] { max_pool(x, p); }, 9);
  expect_launches(
      "adaptive_avg_pool2d", {1, in, 4 * (in + out)}, [&] { average(x, 4, 4); }, 1);
  expect_launches(
      "adaptive_avg_pool2d", {1, in, 4 * (in + 6)}, [&] { average(x, 1, 1); }, 1);
  expect_launches(
      "adaptive_avg_pool2d_backward", {1, 3 * in, 4 * (in + out)}, [&] { average_gradient(dout, 8, 8); }, 4);
  const Tensor indices = max_pool(x, p).second;
  // dx is written in several goes: its bytes are stated once.
  const auto before = tensor::cuda::launch_statistics()["max_pool2d_backward"];
  max_pool_gradient(x.shape(), dout, indices);
  const auto after = tensor::cuda::launch_statistics()["max_pool2d_backward"];
  CHECK(after.launches - before.launches == 1);
  CHECK(after.flops - before.flops == out);
  CHECK(after.bytes - before.bytes == 4 * in + 12 * out);
  expect_same_in_any_order([&] { return max_pool(x, p).first; });
  expect_same_in_any_order([&] { return max_pool_gradient(x.shape(), dout, indices); });
  expect_same_in_any_order([&] { return average(x, 1, 1); });
  expect_same_in_any_order([&] { return average_gradient(dout, 8, 8); });
}
