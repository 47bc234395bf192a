// Products with weights as their files have them.
#include "tensor/narrow_matrix.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <utility>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::NarrowMatrix;
using tensor::Shape;
using tensor::StoredWeight;
using tensor::Tensor;

namespace {

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16, DType::u8};

// Of 8 bits: all levels, and a scale for each row.
Twins made_weight(DType type, const Shape& shape) {
  return Twins(type == DType::u8 ? made(2, shape, 0, 256).to(type) : made(2, shape).to(type));
}

StoredWeight stored(const Tensor& values) {
  if (values.dtype() != DType::u8) return {values};
  return {values, made(3, {values.size(0)}, 0.001, 0.01).to(DType::f16).to(values.device())};
}

// out (rows of wider ones) = x weight^T, or += for the second of two products.
Tensor product(const Tensor& x, const StoredWeight& weight, bool accumulate) {
  const NarrowMatrix matrix(weight);
  Tensor wider = Tensor::full({x.size(0), matrix.out() + 3}, 0.5, DType::f32, x.device());
  Tensor out = wider.slice(1, 1, 1 + matrix.out());
  matrix.multiply(out, x, accumulate);
  return wider;
}

// Of sums of k products of about 1: errors of rounding grow as a walk by chance.
double band(int64_t k) { return 5e-7 * std::sqrt(static_cast<double>(k + 1)); }

Tensor made_x(int64_t m, int64_t k) { return made(1, {m, k}).to(DType::f32); }

}  // namespace

// A warp has 8 rows of x, 4 of the weight and 4 elements a lane; a block 16 rows of the weight.
TEST_CASE("narrow matrices as on the CPU: every type, around the edges of tiles, warps and packs") {
  for (const DType type : kTypes)
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1},
                                  {1, 33, 127},
                                  {7, 15, 128},
                                  {8, 16, 129},
                                  {9, 17, 4},
                                  {17, 5, 3},
                                  {5, 70, 260},
                                  {2, 3, 0}}) {
      const Twins x(made_x(m, k)), weight = made_weight(type, {n, k});
      for (const bool accumulate : {false, true})
        CHECK_MESSAGE(worst_error(product(x.cuda, stored(weight.cuda), accumulate),
                                  product(x.cpu, stored(weight.cpu), accumulate), 1) <= band(k),
                      x.text(), " x ", weight.text(), " ", accumulate);
    }
}

TEST_CASE("narrow matrices: weights of any layout, rows of x that lie apart") {
  const Twins x(Twins("off the grid", made(1, {5, 50}).to(DType::f32),
                      [](const Tensor& rows) { return rows.slice(1, 3, 40); }));
  for (const DType type : kTypes)
    for (const Twins& weight : twins({9, 37}, type, 2, 0, type == DType::u8 ? 255 : 1))
      CHECK_MESSAGE(worst_error(product(x.cuda, stored(weight.cuda), false),
                                product(x.cpu, stored(weight.cpu), false), 1) <= band(37),
                    weight.text());
}

TEST_CASE("the bits of a row of a narrow product follow from that row and the widened weight alone") {
  for (const int64_t k : {130, 512})
    for (const DType type : {DType::f16, DType::u8}) {
      const StoredWeight weight = stored(made_weight(type, {37, k}).cuda);
      const Tensor x = made_x(19, k).to(Device::cuda()), all = product(x, weight, false);
      CHECK(same_values(product(x, {weight.widened()}, false), all));
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {3, 8}, {7, 19}}) {
        CHECK(same_values(product(x.slice(0, begin, end), weight, false), all.slice(0, begin, end)));
        // Part of the weight's rows, and x at another place in memory.
        const Tensor apart = made_x(19, k + 1).to(Device::cuda()).slice(1, 1, k + 1);
        CHECK(same_values(product(apart, weight, false).slice(0, begin, end),
                          product(apart.contiguous().slice(0, begin, end), weight, false)));
      }
    }
}

TEST_CASE("a narrow product gives the same bits in any order") {
  const Twins x(made_x(11, 300)), weight = made_weight(DType::u8, {40, 300});
  expect_same_in_any_order([&] { return product(x.cuda, stored(weight.cuda), true); });
}

TEST_CASE("a narrow product is one launch, and reads weights as narrow as they are") {
  for (const DType type : kTypes) {
    const StoredWeight weight = stored(made_weight(type, {64, 256}).cuda);
    const NarrowMatrix matrix(weight);
    const Tensor x = made_x(16, 256).to(Device::cuda());
    Tensor out = Tensor::zeros({16, 64}, DType::f32, Device::cuda());
    const double scales = type == DType::u8 ? 64 * 2 : 0;
    for (const bool accumulate : {false, true})
      expect_launches(
          "narrow_matmul",
          {1, 2.0 * 16 * 64 * 256,
           4.0 * 16 * 256 + static_cast<double>(weight.values.bytes()) + scales +
               4.0 * 16 * 64 * (accumulate ? 2 : 1)},
          [&] { matrix.multiply(out, x, accumulate); }, 32);
  }
}

TEST_CASE("a weight in whole packs is multiplied where it lies, others once in a copy") {
  const auto copies = [](const Tensor& weight) {
    const auto before = tensor::cuda::launch_statistics()["copy"].launches;
    const NarrowMatrix matrix((StoredWeight{weight}));
    return tensor::cuda::launch_statistics()["copy"].launches - before;
  };
  const Tensor weight = made(1, {6, 40}).to(DType::f16).to(Device::cuda());
  CHECK(copies(weight) == 0);
  CHECK(copies(weight.slice(1, 4, 20)) == 0);
  CHECK(copies(weight.slice(1, 2, 18)) == 1);
  CHECK(copies(weight.slice(1, 0, 19)) == 1);
  CHECK(copies(weight.t()) == 1);
}

TEST_CASE("narrow matrices: nothing, and another one's sizes") {
  const StoredWeight weight = stored(made_weight(DType::f16, {9, 12}).cuda);
  const NarrowMatrix matrix(weight);
  Tensor none = Tensor::empty({0, 9}, DType::f32, Device::cuda());
  matrix.multiply(none, Tensor::empty({0, 12}, DType::f32, Device::cuda()), false);
  const StoredWeight no_rows{Tensor::empty({0, 12}, DType::f16, Device::cuda())};
  CHECK(same_values(product(made_x(3, 12).to(Device::cuda()), no_rows, false),
                    Tensor::full({3, 3}, 0.5, DType::f32, Device::cuda())));
  Tensor out = Tensor::empty({2, 8}, DType::f32, Device::cuda());
  CHECK(refused(
            [&] {
              tensor::kernels::narrow_matmul(out, Tensor::zeros({2, 12}, DType::f32, Device::cuda()),
                                             weight.values, Tensor(), false);
            },
            tensor::ErrorKind::shape) ==
        "narrow_matmul: (2, 12) f32 by another packed matrix into (2, 8) f32");
}
