#include <limits>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"

using namespace tests;
using tensor::BinaryOp;
using tensor::Device;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using tensor::UnaryOp;
namespace kernels = tensor::kernels;

namespace {

constexpr DType kFloatTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

// How far devices may be apart where each has its own approximation: a few units in the last place; 16-bit
// results are rounded from f32, so that they differ by one step at most.
double band(DType type) {
  switch (type) {
    case DType::f32:
      return 2e-6;
    case DType::f64:
      return 4e-15;
    case DType::f16:
      return 0x1p-10;
    default:
      return 0x1p-7;
  }
}
// Below the normal numbers steps are no longer in proportion.
double least(DType type) { return type == DType::f16 ? 0x1p-14 : 0x1p-126; }

bool near(const Tensor& got, const Tensor& want) {
  return worst_error(got, want, least(want.dtype())) <= band(want.dtype());
}

// An op, whether it is rounded correctly everywhere, and the inputs that it is tried with.
struct Unary {
  UnaryOp op;
  bool exact;
  double low, high;
};
const Unary kUnary[] = {
    {UnaryOp::neg, true, -2, 2},         {UnaryOp::abs, true, -2, 2},      {UnaryOp::exp, false, -9, 9},
    {UnaryOp::log, false, 1.1, 90},      {UnaryOp::sqrt, true, 0, 9},      {UnaryOp::rsqrt, true, 0.1, 9},
    {UnaryOp::reciprocal, true, 0.1, 9}, {UnaryOp::relu, true, -2, 2},     {UnaryOp::relu6, true, -9, 9},
    {UnaryOp::tanh, false, -9, 9},       {UnaryOp::sigmoid, false, -9, 9}, {UnaryOp::square, true, -2, 2},
    {UnaryOp::sign, true, -2, 2}};

Tensor unary(const Tensor& x, UnaryOp op) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::unary(out, x, op);
  return out;
}

constexpr BinaryOp kBinary[] = {BinaryOp::add, BinaryOp::sub,     BinaryOp::mul,     BinaryOp::div,
                                BinaryOp::pow, BinaryOp::maximum, BinaryOp::minimum, BinaryOp::eq,
                                BinaryOp::ne,  BinaryOp::lt,      BinaryOp::le,      BinaryOp::gt,
                                BinaryOp::ge};

Tensor binary(const Tensor& a, const Tensor& b, BinaryOp op) {
  const DType type = tensor::is_comparison(op) ? DType::boolean : a.dtype();
  Tensor out = Tensor::empty(tensor::broadcast(a.shape(), b.shape(), "test"), type, a.device());
  kernels::binary(out, a, b, op);
  return out;
}

const Shape kShapes[] = {{}, {1}, {0}, {7}, {3, 5}, {4, 1, 3}, {2, 0, 3}, {33, 8}, {2, 3, 4, 5}};

// Numbers at the ends of what a type holds, and beyond.
Tensor extremes(DType type) {
  const double most = type == DType::f16 ? 65504 : type == DType::f64 ? 1.7e308 : 3e38;
  const double small = type == DType::f16 ? 7e-5 : type == DType::f64 ? 3e-308 : 2e-38;
  const std::vector<double> all{0,     -0.0,  1,      -1,   kInf, -kInf, kNan, most,
                                -most, small, -small, 88.8, -104, 6,     0.5};
  return Tensor::from(all, {static_cast<int64_t>(all.size())}).to(type);
}

}  // namespace

TEST_CASE("unary: every op, type, shape and layout as on the CPU") {
  for (const DType type : kFloatTypes)
    for (const Unary& u : kUnary)
      for (const Shape& shape : kShapes)
        for (const Twins& x : twins(shape, type, 1, u.low, u.high)) {
          const Tensor got = unary(x.cuda, u.op), want = unary(x.cpu, u.op);
          CHECK_MESSAGE((u.exact ? same_values(got, want) : near(got, want)),
                        std::string(tensor::name_of(u.op)), " ", x.text());
        }
}

TEST_CASE("elementwise kernels at sizes around those of warps, blocks and packs") {
  for (const DType type : kFloatTypes)
    for (const int64_t n : kEdges)
      for (const Twins& x : twins({n}, type, 5)) {
        const Twins y(made(9, {n}).to(type));
        CHECK_MESSAGE(same_values(unary(x.cuda, UnaryOp::abs), unary(x.cpu, UnaryOp::abs)), x.text());
        CHECK_MESSAGE(same_values(binary(x.cuda, y.cuda, BinaryOp::mul), binary(x.cpu, y.cpu, BinaryOp::mul)),
                      x.text());
        CHECK_MESSAGE(same_values(binary(x.cuda, y.cuda, BinaryOp::lt), binary(x.cpu, y.cpu, BinaryOp::lt)),
                      x.text());
      }
}

TEST_CASE("unary and binary at the ends of the types") {
  for (const DType type : kFloatTypes) {
    const Twins x(extremes(type));
    for (const Unary& u : kUnary) {
      const Tensor got = unary(x.cuda, u.op), want = unary(x.cpu, u.op);
      CHECK_MESSAGE((u.exact ? same_values(got, want) : near(got, want)), std::string(tensor::name_of(u.op)),
                    " ", tensor::name_of(type));
    }
    for (const BinaryOp op : kBinary) {
      const Tensor got = binary(x.cuda.unsqueeze(1), x.cuda, op),
                   want = binary(x.cpu.unsqueeze(1), x.cpu, op);
      CHECK_MESSAGE((op == BinaryOp::pow ? near(got, want) : same_values(got, want)), tensor::name_of(op),
                    " ", tensor::name_of(type));
    }
  }
}

TEST_CASE("binary: every op, type, layout and broadcast as on the CPU") {
  const std::pair<Shape, Shape> pairs[] = {{{}, {}},         {{7}, {7}},
                                           {{3, 8}, {8}},    {{3, 5}, {3, 1}},
                                           {{1, 8}, {3, 1}}, {{4, 1, 6}, {5, 1}},
                                           {{}, {3, 4}},     {{16, 16}, {1}},
                                           {{0, 3}, {1, 3}}, {{2, 3, 4, 8}, {3, 1, 1}}};
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64})
    for (const BinaryOp op : kBinary) {
      if (type == DType::i64 && op > BinaryOp::mul && !tensor::is_comparison(op)) continue;
      const double low = op == BinaryOp::pow ? 0.5 : -3;
      for (const auto& [left, right] : pairs)
        for (const Twins& a : twins(left, type, 3, low, 3))
          for (const Twins& b : twins(right, type, 30, low, 3)) {
            const Tensor got = binary(a.cuda, b.cuda, op), want = binary(a.cpu, b.cpu, op);
            CHECK_MESSAGE((op == BinaryOp::pow ? near(got, want) : same_values(got, want)),
                          std::string(tensor::name_of(op)), " ", a.text(), ", ", b.text());
          }
    }
}

TEST_CASE("affine, clamp, where and add_inplace as on the CPU") {
  for (const DType type : kFloatTypes)
    for (const Shape& shape : kShapes)
      for (const Twins& x : twins(shape, type, 7)) {
        const auto both = [&](const auto& call) {
          Tensor want = Tensor::empty(shape, type), got = Tensor::empty(shape, type, Device::cuda());
          call(want, x.cpu), call(got, x.cuda);
          return std::pair(got, want);
        };
        const auto [scaled, scaled_too] =
            both([](Tensor& o, const Tensor& t) { kernels::affine(o, t, 1.7, 0); });
        CHECK_MESSAGE(same_values(scaled, scaled_too), x.text());
        // A compiler may or may not fuse the product with the sum, of which 0.25 is the least size.
        const auto [moved, moved_too] =
            both([](Tensor& o, const Tensor& t) { kernels::affine(o, t, 0.5, 1.25); });
        CHECK_MESSAGE(near(moved, moved_too), x.text());
        const auto [kept, kept_too] = both([](Tensor& o, const Tensor& t) { kernels::clamp(o, t, -0.5, 1); });
        CHECK_MESSAGE(same_values(kept, kept_too), x.text());
      }
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64})
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{3, 8}, Shape{2, 0}, Shape{5, 16}})
      for (const Twins& c : twins(shape, DType::boolean, 11, 0, 1.999))
        for (const Twins& a : twins(shape, type, 13)) {
          const Twins b(made(17, {}, 3, 9).to(type));
          Tensor want = Tensor::empty(shape, type), got = Tensor::empty(shape, type, Device::cuda());
          kernels::where(want, c.cpu, a.cpu, b.cpu), kernels::where(got, c.cuda, a.cuda, b.cuda);
          CHECK_MESSAGE(same_values(got, want), c.text(), ", ", a.text());
          if (type == DType::i64) continue;
          Twins sum = twins(shape, type, 19)[shape.rank() > 1 ? 2 : 0];  // strided
          kernels::add_inplace(sum.cpu, a.cpu, 1.0), kernels::add_inplace(sum.cuda, a.cuda, 1.0);
          CHECK_MESSAGE(same_values(sum.cuda, sum.cpu), a.text());
        }
}

TEST_CASE("elementwise kernels write over their inputs") {
  for (const DType type : kFloatTypes) {
    Twins x(made(23, {1025}).to(type));
    kernels::unary(x.cpu, x.cpu, UnaryOp::square), kernels::unary(x.cuda, x.cuda, UnaryOp::square);
    kernels::binary(x.cpu, x.cpu, x.cpu, BinaryOp::add),
        kernels::binary(x.cuda, x.cuda, x.cuda, BinaryOp::add);
    CHECK(same_values(x.cuda, x.cpu));
    // One element further: what is read has been written over unless it is copied first.
    const auto shift = [](Tensor& t) {
      Tensor out = t.slice(0, 1, 1025);
      kernels::unary(out, t.slice(0, 0, 1024), UnaryOp::neg);
      kernels::add_inplace(out, t.slice(0, 0, 1024), 1.0);
    };
    shift(x.cpu), shift(x.cuda);
    CHECK(same_values(x.cuda, x.cpu));
  }
}

TEST_CASE("16-bit floats of two types are widened as on the CPU") {
  const Twins a(made(29, {40}).to(DType::f16)), b(made(31, {40}).to(DType::bf16));
  const auto sum = [](const Tensor& x, const Tensor& y) {
    Tensor out = Tensor::empty({40}, DType::f32, x.device());
    kernels::binary(out, x, y, BinaryOp::add);
    return out;
  };
  CHECK(same_values(sum(a.cuda, b.cuda), sum(a.cpu, b.cpu)));
}

TEST_CASE("binary refuses a quotient of whole numbers on a device, too") {
  const Tensor x = Tensor::full({3}, 4, DType::i64, Device::cuda());
  CHECK_THROWS_WITH_AS(binary(x, x, BinaryOp::div), "div: f32 or f64 is needed, not i64", tensor::Error);
}

TEST_CASE("elementwise kernels are one launch each, and say what they read and write") {
  const auto full = [](const Shape& shape) { return Tensor::full(shape, 1, DType::f32, Device::cuda()); };
  const Tensor x = full({64, 100}), y = full({64, 100}), row = full({100});
  expect_launches("unary", {1, 6400, 2 * 4 * 6400}, [&] { unary(x, UnaryOp::exp); });
  expect_launches(
      "binary", {1, 6400, 4 * (2 * 6400 + 100)}, [&] { binary(x, row, BinaryOp::add); }, 2);
  expect_launches("binary", {1, 6400, 4 * 2 * 6400 + 6400}, [&] { binary(x, y, BinaryOp::lt); });
  expect_launches("unary", {0, 0, 0}, [&] { unary(x.slice(0, 0, 0), UnaryOp::exp); });
}

TEST_CASE("elementwise kernels give the same bits in any order of blocks") {
  const Twins x(made(37, {3, 1000}).to(DType::f16));
  expect_same_in_any_order([&] { return unary(x.cuda, UnaryOp::tanh); });
  expect_same_in_any_order([&] { return binary(x.cuda, x.cuda, BinaryOp::pow); });
}
