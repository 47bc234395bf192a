#include <limits>
#include <vector>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
const Device kThere = Device::cuda();
constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

struct Statistics {
  Tensor mean, variance;
};

Statistics statistics(const Tensor& x, DType variance) {
  const Shape channels{x.size(1)};
  Statistics s{Tensor::empty(channels, x.dtype(), x.device()), Tensor::empty(channels, variance, x.device())};
  kernels::batch_norm_statistics(s.mean, s.variance, x);
  return s;
}

// One unit in the last place, or one step of 16 bits.
double band(DType type) {
  return type == DType::f64 ? 1e-14 : type == DType::f32 ? 1.2e-7 : type == DType::f16 ? 0x1p-10 : 0x1p-7;
}

// Sums are made in f64, so the CPU's of the same numbers in f64 are what they round to. A mean of f64 numbers is
// as exact as those; below 2^-14 f16 has no more digits.
void check_statistics(const Twins& x) {
  const DType type = x.cpu.dtype();
  const Statistics want = statistics(x.cpu.to(DType::f64), DType::f64);
  for (const DType wide : {type, DType::f64}) {
    const Statistics got = statistics(x.cuda, wide);
    CHECK_MESSAGE(
        worst_error(got.mean, want.mean.to(type), type == DType::f64 ? 1e-2 : 0x1p-14) <= band(type),
        x.text());
    CHECK_MESSAGE(worst_error(got.variance, want.variance.to(wide)) <= band(wide), x.text(), " ",
                  name_of(wide));
  }
}

// Channels, the gradient and so on of one x.
struct Operands {
  Twins x, dout, mean, rstd, weight, bias;

  Operands(const Shape& shape, DType type)
      : x(made(1, shape).to(type)),
        dout(made(2, shape).to(type)),
        mean(made(3, {shape[1]}).to(type)),
        rstd(made(4, {shape[1]}, 0.5, 2).to(type)),
        weight(made(5, {shape[1]}).to(type)),
        bias(made(6, {shape[1]}).to(type)) {}
};

Tensor apply(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& weight,
             const Tensor& bias) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::batch_norm_apply(out, x, mean, rstd, weight, bias);
  return out;
}

struct Gradients {
  Tensor dx, dweight, dbias;
};

Gradients gradients(const Tensor& dout, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                    const Tensor& weight, bool train) {
  const auto like = [](const Tensor& t) { return Tensor::empty(t.shape(), t.dtype(), t.device()); };
  Gradients g{like(x), like(mean), like(mean)};
  kernels::batch_norm_backward({.dx = g.dx,
                                .dweight = g.dweight,
                                .dbias = g.dbias,
                                .dout = dout,
                                .x = x,
                                .mean = mean,
                                .rstd = rstd,
                                .weight = weight,
                                .train = train});
  return g;
}

void check_all(const Shape& shape, DType type) {
  const Operands a(shape, type);
  check_statistics(a.x);
  const double few = type == DType::f32 ? 4e-7 : band(type);  // roundings of numbers up to 4
  for (const bool affine : {true, false}) {
    const Tensor w = affine ? a.weight.cpu : Tensor(), w_there = affine ? a.weight.cuda : Tensor();
    const Tensor b = affine ? a.bias.cpu : Tensor(), b_there = affine ? a.bias.cuda : Tensor();
    CHECK_MESSAGE(worst_error(apply(a.x.cuda, a.mean.cuda, a.rstd.cuda, w_there, b_there),
                              apply(a.x.cpu, a.mean.cpu, a.rstd.cpu, w, b), 1) <= few,
                  a.x.text());
    for (const bool train : {true, false}) {
      const Gradients got = gradients(a.dout.cuda, a.x.cuda, a.mean.cuda, a.rstd.cuda, w_there, train),
                      want = gradients(a.dout.cpu, a.x.cpu, a.mean.cpu, a.rstd.cpu, w, train);
      CHECK_MESSAGE(worst_error(got.dx, want.dx, 1) <= few, a.x.text(), " ", train);
      // The CPU adds short pieces in f32, and terms of dweight are f32 on both.
      const Gradients wide =
          gradients(a.dout.cpu.to(DType::f64), a.x.cpu.to(DType::f64), a.mean.cpu.to(DType::f64),
                    a.rstd.cpu.to(DType::f64), affine ? w.to(DType::f64) : w, train);
      const auto count = static_cast<double>(a.x.cpu.numel() / shape[1]);
      CHECK_MESSAGE(
          worst_error(got.dbias, wide.dbias.to(type), type == DType::f64 ? 1 : 0x1p-14) <= band(type),
          a.x.text());
      CHECK_MESSAGE(worst_error(got.dweight, wide.dweight.to(type), count) <= band(type), a.x.text());
    }
  }
}

}  // namespace

TEST_CASE(
    "batch norm and its gradient as on the CPU: every type, at sizes around packs, warps, blocks and tiles") {
  for (const DType type : kTypes)
    for (const Shape& shape : {Shape{2, 3}, Shape{9, 5, 1}, Shape{3, 9, 5, 7}, Shape{2, 3, 8, 4}})
      check_all(shape, type);
  for (const DType type : {DType::f32, DType::f64}) {
    for (const int64_t n : kEdges)
      if (n < 1100 || type == DType::f32) check_all({1, 2, n + 1}, type);
    for (const int64_t n : {8191, 8192, 8193})
      check_statistics(Twins(made(7, {2, 1, n}).to(type)));  // tiles of 2^14
    check_all({3, 2, 75, 76}, type);
    check_all({60, 33}, type);
  }
}

TEST_CASE("batch norm: x off the 16-byte grid") {
  const Twins x("one element in", made(1, {2 * 3 * 8 + 1}).to(DType::f32), [](const Tensor& t) {
    return t.slice(0, 1, t.numel()).view({2, 3, 8});
  });
  check_statistics(x);
  const Twins ones(Tensor::full({3}, 1, DType::f32));
  CHECK(worst_error(apply(x.cuda, ones.cuda, ones.cuda, {}, {}), apply(x.cpu, ones.cpu, ones.cpu, {}, {}),
                    1) <= 1.2e-7);
}

TEST_CASE(
    "batch norm's statistics of numbers far from 0, far from the first, too large to square, and all the same") {
  for (const DType type : {DType::f32, DType::f64}) {
    const auto check = [&](const Tensor& x) { check_statistics(Twins(x.to(type))); };
    for (const int64_t n : {5, 300, 9000}) {
      Tensor x = made(1, {2, 2, n});
      check(x);
      kernels::affine(x, x, 1, 1000);
      check(x);
      x.slice(2, 0, 1).fill_(-1e6);  // the first of each picture
      check(x);
      kernels::affine(x, x, 1e30, 0);
      check(x);
      const Statistics flat = statistics(Tensor::full({2, 2, n}, 100.3, type, kThere), type);
      CHECK(numbers(flat.mean) == numbers(Tensor::full({2}, 100.3, type)));
      CHECK(numbers(flat.variance) == std::vector<double>{0, 0});
    }
    for (const double value : {kNan, kInf, -kInf})
      for (const int64_t at : {0, 150, 299}) {
        Tensor x = made(2, {2, 2, 300});
        x.slice(2, at, at + 1).fill_(value);
        check(x);
      }
  }
}

TEST_CASE("batch norm of nothing, and what it refuses") {
  const Tensor none = Tensor::empty({0, 2, 3}, DType::f32, kThere),
               two = Tensor::full({2}, 1, DType::f32, kThere);
  const Statistics s = statistics(none, DType::f64);
  for (const double value : numbers(s.mean)) CHECK(std::isnan(value));
  for (const double value : numbers(s.variance)) CHECK(std::isnan(value));
  CHECK(apply(none, two, two, two, two).numel() == 0);
  const Gradients g = gradients(none, none, two, two, {}, true);
  CHECK(numbers(g.dweight) == std::vector<double>{0, 0});
  CHECK(numbers(g.dbias) == std::vector<double>{0, 0});
  CHECK(statistics(Tensor::empty({2, 0, 3}, DType::f32, kThere), DType::f32).mean.numel() == 0);
  const Tensor x = Tensor::full({1, 3, 2}, 1, DType::f32, kThere);
  CHECK(refused([&] { apply(x, two, two, {}, {}); }, ErrorKind::shape) ==
        "batch_norm_apply: mean (2) must be (3) and contiguous");
}

TEST_CASE("batch norm: launches, what they read and write, and the same bits in any order") {
  for (const int64_t inner : {40, 41}) {
    const Operands a({3, 2, inner}, DType::f32);
    const auto n = static_cast<double>(a.x.cpu.numel());
    expect_launches(
        "batch_norm_statistics", {2, 4 * n + 16, 4 * n + 2 * 2 * 24 + 2 * 2 * 4 + 2 * 8},
        [&] { statistics(a.x.cuda, DType::f64); }, 300);
    expect_launches(
        "batch_norm_apply", {1, 3 * n, 8 * n + 4 * 8},
        [&] { apply(a.x.cuda, a.mean.cuda, a.rstd.cuda, a.weight.cuda, a.bias.cuda); }, 8);
    const auto sums = 8 * n + 16 + 2 * 2 * 16 + 16;
    expect_launches(
        "batch_norm_backward", {3, 11 * n + 4, sums + 12 * n + 5 * 8},
        [&] { gradients(a.dout.cuda, a.x.cuda, a.mean.cuda, a.rstd.cuda, a.weight.cuda, true); }, 20);
    expect_launches(
        "batch_norm_backward", {3, 6 * n + 4, sums + 8 * n + 8},
        [&] { gradients(a.dout.cuda, a.x.cuda, a.mean.cuda, a.rstd.cuda, {}, false); }, 20);
  }
  // f64 takes a second pass, around the means.
  const Tensor x = made(1, {3, 2, 40}).to(kThere);
  expect_launches(
      "batch_norm_statistics",
      {4, 2 * (4 * 240 + 16), 2 * (8 * 240 + 2 * 2 * 24 + 2 * 2 * 8 + 2 * 8) + 2 * 8},
      [&] { statistics(x, DType::f64); }, 300);
  const Operands a({3, 2, 7000}, DType::f32);
  expect_same_in_any_order([&] { return statistics(a.x.cuda, DType::f64).variance; });
  expect_same_in_any_order(
      [&] { return gradients(a.dout.cuda, a.x.cuda, a.mean.cuda, a.rstd.cuda, a.weight.cuda, true).dx; });
}
