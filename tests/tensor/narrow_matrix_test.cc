#include "tensor/narrow_matrix.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tensor/error.h"
#include "tensor/packed_matrix.h"
#include "tensor/thread_pool.h"
#include "tests/tensor/reference.h"

using namespace tensor;

namespace {

Tensor random(const Shape& shape, uint64_t seed) { return tests::random(shape, DType::f32, seed, -1, 1); }

// Every level of 8 bits, and scales from the least f16 to large ones.
StoredWeight eight_bits(int64_t n, int64_t k) {
  StoredWeight weight{Tensor::empty({n, k}, DType::u8), Tensor::empty({n}, DType::f16)};
  uint8_t* q = weight.values.mutable_data<uint8_t>();
  for (int64_t i = 0; i < n * k; ++i) q[i] = static_cast<uint8_t>(i * 37 + i / 256);
  f16* scale = weight.scales.mutable_data<f16>();
  for (int64_t i = 0; i < n; ++i) scale[i] = f16(0.001f * static_cast<float>(i % 7 + 1));
  scale[0].bits = 1;
  return weight;
}

StoredWeight stored(DType dtype, int64_t n, int64_t k) {
  if (dtype == DType::u8) return eight_bits(n, k);
  return {random({n, k}, 2).to(dtype)};
}

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16, DType::u8};

}  // namespace

TEST_CASE("a product with narrow weights has the bits of one with them widened") {
  for (const DType dtype : kTypes)
    for (const int64_t m : {1, 2, 5, 12, 13, 49})
      for (const auto& [n, k] :
           {std::pair<int64_t, int64_t>{1, 1}, {33, 7}, {64, 256}, {100, 300}, {31, 513}, {96, 1024}}) {
        CAPTURE(static_cast<int>(dtype));
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        const StoredWeight weight = stored(dtype, n, k);
        const Tensor x = random({m, k}, 1), wide = weight.widened();
        for (const bool accumulate : {false, true}) {
          Tensor out = random({m, n}, 3), expected = out.clone();
          NarrowMatrix(weight).multiply(out, x, accumulate);
          PackedMatrix(wide.t()).multiply(expected, x, accumulate);
          CHECK(out.to_vector<float>() == expected.to_vector<float>());
        }
      }
}

TEST_CASE("widened weights are exact: a level times its scale") {
  const StoredWeight weight = eight_bits(9, 256);
  const std::vector<float> wide = weight.widened().to_vector<float>();
  const uint8_t* q = weight.values.data<uint8_t>();
  for (size_t i = 0; i < wide.size(); ++i)
    CHECK(double{wide[i]} ==
          static_cast<double>(q[i] - 128) * static_cast<double>(weight.scales.data<f16>()[i / 256]));
  CHECK(weight.count_non_finite() == 0);
  StoredWeight bad = weight;
  bad.scales = weight.scales.clone();
  bad.scales.mutable_data<f16>()[3] = f16(std::numeric_limits<float>::quiet_NaN());
  CHECK(bad.count_non_finite() == 256);
  CHECK(std::isnan(bad.widened().to_vector<float>()[3 * 256]));
  CHECK(StoredWeight{Tensor::full({2, 2}, std::numeric_limits<double>::infinity(), DType::bf16)}
            .count_non_finite() == 4);
}

TEST_CASE("narrow matrix: parts of a weight, strided rows, threads") {
  const int threads = num_threads();
  for (const DType dtype : kTypes) {
    CAPTURE(static_cast<int>(dtype));
    const StoredWeight weight = stored(dtype, 70, 600), part = weight.columns(100, 500);
    const Tensor x = random({5, 640}, 4).slice(1, 40, 440), wide = part.widened();
    Tensor expected = Tensor::empty({5, 70});
    PackedMatrix(wide.t()).multiply(expected, x, false);
    for (const int n : {1, 2, 4}) {
      set_num_threads(n);
      Tensor wider = Tensor::zeros({5, 90});
      Tensor out = wider.slice(1, 10, 80);
      NarrowMatrix(part).multiply(out, x, false);
      CHECK(out.contiguous().to_vector<float>() == expected.to_vector<float>());
      CHECK(wider.slice(1, 80, 90).contiguous().to_vector<float>() == std::vector<float>(50, 0));
    }
    Tensor rows = Tensor::empty({3, 400});
    const std::vector<int64_t> ids{69, 0, 3};
    part.rows(rows, Tensor::from(ids, {3}));
    for (size_t i = 0; i < ids.size(); ++i)
      CHECK(rows.select(0, static_cast<int64_t>(i)).contiguous().to_vector<float>() ==
            wide.select(0, ids[i]).contiguous().to_vector<float>());
    // Ids that lie apart, and one that stands for all.
    const Tensor pairs = Tensor::from(std::vector<int64_t>{69, 5, 0, 5, 3, 5}, {3, 2});
    Tensor apart = Tensor::empty({3, 400}), same = Tensor::empty({3, 400});
    part.rows(apart, pairs.select(1, 0));
    CHECK(apart.to_vector<float>() == rows.to_vector<float>());
    part.rows(same, Tensor::from(std::vector<int64_t>{3}, {1}).expand({3}));
    CHECK(same.select(0, 1).to_vector<float>() == rows.select(0, 2).contiguous().to_vector<float>());
  }
  set_num_threads(threads);
}

TEST_CASE("narrow matrix: errors and empty operands") {
  const NarrowMatrix matrix(stored(DType::f16, 5, 4));
  Tensor out = Tensor::zeros({2, 5}), wrong = Tensor::zeros({2, 4});
  CHECK_THROWS_WITH_AS(matrix.multiply(out, Tensor::zeros({2, 3}), false),
                       doctest::Contains("(2, 3) by the weight (5, 4)"), Error);
  CHECK_THROWS_AS(matrix.multiply(wrong, Tensor::zeros({2, 4}), false), Error);
  CHECK_THROWS_AS(NarrowMatrix().multiply(out, out, false), Error);
  CHECK_THROWS_AS(NarrowMatrix({Tensor::zeros({4})}), Error);
  CHECK_THROWS_AS(NarrowMatrix({Tensor::zeros({4, 4}, DType::u8)}), Error);
  CHECK_THROWS_AS(NarrowMatrix({Tensor::zeros({4, 4}, DType::u8), Tensor::zeros({3}, DType::f16)}), Error);
  CHECK_THROWS_AS(NarrowMatrix({Tensor::zeros({4, 4}), Tensor::zeros({4}, DType::f16)}), Error);
  Tensor row = Tensor::zeros({1, 4});
  CHECK_THROWS_AS(stored(DType::u8, 5, 4).rows(row, Tensor::full({1}, 5, DType::i64)), Error);
  Tensor none = Tensor::zeros({0, 5});
  matrix.multiply(none, Tensor::zeros({0, 4}), false);
  out.fill_(1);
  NarrowMatrix({Tensor::zeros({5, 0})}).multiply(out, Tensor::zeros({2, 0}), false);
  CHECK(out.to_vector<float>() == std::vector<float>(10, 0));
}
