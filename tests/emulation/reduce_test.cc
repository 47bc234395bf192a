#include <cmath>
#include <limits>
#include <vector>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::ReduceOp;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();
constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

// What a result may be apart where it is rounded to a type: half a unit in the last place, or, where the sums differ in f64,
// a whole one.
double band(DType type) {
  return type == DType::f64 ? 1e-14 : type == DType::f32 ? 1.2e-7 : type == DType::f16 ? 0x1p-10 : 0x1p-7;
}
constexpr ReduceOp kOps[] = {ReduceOp::sum, ReduceOp::mean, ReduceOp::max, ReduceOp::min};

Tensor reduce(const Tensor& x, const std::vector<int>& dims, ReduceOp op) {
  Shape kept = x.shape();
  for (const int d : dims) kept[d] = 1;
  Tensor out = Tensor::empty(kept, x.dtype(), x.device());
  kernels::reduce(out, x, dims, op);
  return out;
}

// Sums are made in f64 on both devices, in different orders: what they are apart is in proportion to the sum
// of sizes. The greatest and the least are the same.
void check_reduce(const Twins& x, const std::vector<int>& dims) {
  const DType type = x.cpu.dtype();
  for (const ReduceOp op : kOps) {
    const Tensor got = reduce(x.cuda, dims, op), want = reduce(x.cpu, dims, op);
    if (op == ReduceOp::max || op == ReduceOp::min)
      CHECK_MESSAGE(worst_error(got, want) == 0, static_cast<int>(op), " ", x.text());
    else
      CHECK_MESSAGE(worst_error(got, want, 1e-2) <= band(type), static_cast<int>(op), " ", x.text());
  }
}

std::vector<std::vector<int>> subsets(int rank) {
  std::vector<std::vector<int>> all;
  for (unsigned mask = 0; mask < 1u << rank; ++mask) {
    all.emplace_back();
    for (int d = 0; d < rank; ++d)
      if ((mask >> d & 1u) != 0) all.back().push_back(d);
  }
  return all;
}

Tensor argmax(const Tensor& x) {
  Shape shape = x.shape();
  shape.erase(shape.rank() - 1);
  Tensor out = Tensor::empty(shape, DType::i64, x.device());
  kernels::argmax(out, x);
  return out;
}

std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k) {
  Shape shape = x.shape();
  shape[shape.rank() - 1] = k;
  Tensor values = Tensor::empty(shape, x.dtype(), x.device()),
         indices = Tensor::empty(shape, DType::i64, x.device());
  kernels::topk(values, indices, x, k);
  return {values, indices};
}

void check_top(const Twins& x, int64_t k) {
  const auto [values, indices] = topk(x.cuda, k);
  const auto [want_values, want_indices] = topk(x.cpu, k);
  CHECK_MESSAGE(same_values(values, want_values), k, " ", x.text());
  CHECK_MESSAGE(same_values(indices, want_indices), k, " ", x.text());
}

Tensor cumsum(const Tensor& x) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::cumsum(out, x);
  return out;
}

double sum_squares(const std::vector<Tensor>& tensors, Device device) {
  Tensor out = Tensor::empty({1}, DType::f64, device);
  kernels::sum_squares(out, tensors);
  return out.item();
}

}  // namespace

TEST_CASE("reduce: every op, type, layout and set of dimensions as on the CPU") {
  const Shape shapes[] = {{}, {1}, {9}, {3, 5}, {4, 1, 3}, {2, 3, 4, 5}, {3, 40, 33}, {8, 16}};
  for (const DType type : kTypes)
    for (const Shape& shape : shapes)
      for (const Twins& x : twins(shape, type, 1, 0.25, 2))
        for (const std::vector<int>& dims : subsets(shape.rank())) check_reduce(x, dims);
}

TEST_CASE("reduce: rows and columns at lengths around those of warps, blocks and tiles") {
  for (const DType type : kTypes) {
    for (const int64_t n : kEdges) {
      check_reduce(Twins(made(3, {3, n}, 0.25, 2).to(type)), {1});
      check_reduce(Twins(made(4, {n, 9}, 0.25, 2).to(type)), {0});
      check_reduce(Twins(made(5, {2, n}, 0.25, 2).to(type)), {0});
    }
    for (const int64_t n : {16383, 16384, 16385, 50001})
      check_reduce(Twins(made(6, {2, n}, 0.25, 2).to(type)), {1});
    check_reduce(Twins(made(7, {40000, 12}, 0.25, 2).to(type)), {0});  // tiles of tiles
    check_reduce(Twins(made(8, {200, 3, 40}, 0.25, 2).to(type)), {0, 2});
  }
}

TEST_CASE("reduce: sums of numbers that cancel are as exact as f64") {
  for (const int64_t n : {100, 20000}) {
    const Twins x(made(9, {n}, -1, 1).to(DType::f32));
    CHECK(worst_error(reduce(x.cuda, {0}, ReduceOp::sum), reduce(x.cpu, {0}, ReduceOp::sum)) <= 1.2e-7);
  }
}

TEST_CASE("reduce: NaN wins, infinities, and nothing") {
  for (const DType type : kTypes)
    for (const int64_t n : {3, 40, 700})
      for (const double value : {kNan, kInf, -kInf})
        for (const int64_t at : {int64_t{0}, n / 2, n - 1}) {
          Tensor x = made(10, {2, n}).to(type);
          x.slice(1, at, at + 1).fill_(value);
          const Twins rows(x), columns("transposed", x, [](const Tensor&t) { return t.t(); });
          for (const ReduceOp op : kOps) {
            CHECK(worst_error(reduce(rows.cuda, {1}, op), reduce(rows.cpu, {1}, op), 1) <= 0x1p-7);
            CHECK(worst_error(reduce(columns.cuda, {0}, op), reduce(columns.cpu, {0}, op), 1) <= 0x1p-7);
          }
        }
  const Tensor none = Tensor::empty({3, 0}, DType::f32, Device::cuda());
  CHECK(numbers(reduce(none, {1}, ReduceOp::sum)) == std::vector<double>{0, 0, 0});
  for (const double mean : numbers(reduce(none, {1}, ReduceOp::mean))) CHECK(std::isnan(mean));
  CHECK(reduce(none, {0}, ReduceOp::max).numel() == 0);
}

TEST_CASE("argmax and topk as on the CPU: ties, NaN, any layout and length") {
  for (const DType type : kTypes) {
    for (const int64_t n : kEdges) {
      // Few different values, so that there are many equal ones.
      Tensor x = made(11, {9, n}, 0, 5).to(DType::i64).to(type);
      check_top(Twins(x), std::min<int64_t>(n, 5));
      CHECK(same_values(argmax(x.to(Device::cuda())), argmax(x)));
      x.slice(1, n / 2, n / 2 + 1).fill_(kNan);
      x.slice(0, 3, 4).fill_(-kInf);
      x.slice(0, 4, 5).fill_(kNan);
      check_top(Twins(x), std::min<int64_t>(n, 3));
      CHECK(same_values(argmax(x.to(Device::cuda())), argmax(x)));
    }
    for (const Twins& x : twins({3, 4, 37}, type, 12)) {
      for (const int64_t k : {0, 1, 2, 36, 37}) check_top(x, k);
      CHECK(same_values(argmax(x.cuda), argmax(x.cpu)));
    }
    check_top(Twins(made(13, {2, 200}, 0, 70).to(DType::i64).to(type)), 200);
    check_top(Twins(made(13, {2, 1100}, 0, 70).to(DType::i64).to(type)), 40);
  }
  CHECK(argmax(Tensor::empty({0, 4}, DType::f32, Device::cuda())).numel() == 0);
}

TEST_CASE("cumsum as on the CPU") {
  for (const DType type : kTypes) {
    for (const int64_t n : kEdges)
      for (const int64_t rows : {1, 9}) {
        const Twins x(made(14, {rows, n}, 0.25, 2).to(type));
        CHECK_MESSAGE(worst_error(cumsum(x.cuda), cumsum(x.cpu)) <= band(type), x.text());
      }
    for (const Twins& x : twins({3, 4, 37}, type, 15, 0.25, 2))
      CHECK_MESSAGE(worst_error(cumsum(x.cuda), cumsum(x.cpu)) <= band(type), x.text());
    Tensor bad = Tensor::full({1, 1500}, 1, type);
    bad.slice(1, 700, 701).fill_(kInf), bad.slice(1, 1400, 1401).fill_(-kInf);
    CHECK(worst_error(cumsum(bad.to(Device::cuda())), cumsum(bad)) <= band(type));
  }
  CHECK(cumsum(Tensor::empty({4, 0}, DType::f32, Device::cuda())).numel() == 0);
}

TEST_CASE("sum_squares of many tensors of several types, sizes and layouts") {
  std::vector<Tensor> here, there;
  const auto add = [&](const Twins& x) { here.push_back(x.cpu), there.push_back(x.cuda); };
  for (uint32_t i = 0; i < 120; ++i) add(Twins(made(i, {1 + i % 7, 1 + i % 5}).to(DType::f32)));
  for (const DType type : kTypes) {
    add(Twins(made(200, {0}).to(type)));
    for (const int64_t n : {16383, 16384, 16385}) add(Twins(made(201, {n}).to(type)));
    for (const Twins& x : twins({5, 33}, type, 202)) add(x);
  }
  const double want = sum_squares(here, {});
  CHECK(sum_squares(there, Device::cuda()) == doctest::Approx(want).epsilon(1e-14));
  CHECK(sum_squares({}, Device::cuda()) == 0);
  here = {Tensor::full({40000}, 1e-30, DType::f32), Tensor::full({3}, kInf, DType::f32)};
  CHECK(sum_squares({here[0].to(Device::cuda())}, Device::cuda()) ==
        doctest::Approx(sum_squares({here[0]}, {})).epsilon(1e-14));
  CHECK(sum_squares({here[1].to(Device::cuda())}, Device::cuda()) == kInf);
}

TEST_CASE("reductions: launches, what they read and write, and the same bits in any order") {
  const Tensor x = made(16, {4, 40000}, 0.25, 2).to(DType::f32).to(Device::cuda());
  const double n = 160000, tiles = 12;
  // Two stages: the second reads the f64 results of the first.
  expect_launches("reduce", {2, n + tiles, 4 * n + 8 * tiles + 8 * tiles + 16},
                  [&] { reduce(x, {1}, ReduceOp::sum); });
  expect_launches("reduce", {2, n + tiles, 2 * n + 8 * tiles + 8 * tiles + 8},
                  [&] { reduce(x.to(DType::f16), {1}, ReduceOp::sum); });
  expect_launches("argmax", {1, n, 4 * n + 8 * 4}, [&] { argmax(x); });
  expect_launches(
      "topk", {1, n, 4 * n + 12 * 8}, [&] { topk(x, 2); }, 1.01);
  expect_launches("cumsum", {1, n, 8 * n}, [&] { cumsum(x); });
  expect_launches("sum_squares", {2, 2 * n + 10, 4 * n + 8 * 10 + 8 * 10 + 8},
                  [&] { sum_squares({x}, Device::cuda()); });
  expect_same_in_any_order([&] { return reduce(x, {1}, ReduceOp::sum); });
  expect_same_in_any_order([&] { return reduce(x, {0}, ReduceOp::mean); });
  expect_same_in_any_order([&] { return cumsum(x); });
  expect_same_in_any_order([&] { return topk(x, 3).second; });
}
