// 16-bit floats: conversions to the last bit, and kernels that take them through f32.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <type_traits>

#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

using tensor::bf16;
using tensor::BinaryOp;
using tensor::DType;
using tensor::f16;
using tensor::Tensor;

// As float: arrays of them in a device's shared memory may not have constructors that do anything.
static_assert(std::is_trivially_default_constructible_v<f16>);
static_assert(std::is_trivially_default_constructible_v<bf16>);
static_assert(f16().bits == 0 && bf16().bits == 0);

namespace {

struct Format {
  int mantissa, bias;
};
template <class T>
constexpr Format kFormat{};
template <>
constexpr Format kFormat<f16>{10, 15};
template <>
constexpr Format kFormat<bf16>{7, 127};

// The magnitude by the definition of the format. Infinity counts as what would come after the greatest
// number.
template <class T>
double magnitude(uint32_t bits) {
  const auto [m, bias] = kFormat<T>;
  const int exponent = static_cast<int>(bits & 0x7fffu) >> m;
  const double fraction = static_cast<double>(bits & ((1u << m) - 1)) / std::exp2(m);
  return exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
}

template <class T>
bool is_nan(uint32_t bits) {
  const int m = kFormat<T>.mantissa;
  return (bits & 0x7fffu) > static_cast<uint32_t>((2 * kFormat<T>.bias + 1) << m);
}

// Whether `bits` is the number nearest to v and, of two, the even one: v lies between the middles to its
// neighbours. The middles are exact in double, and no difference is taken.
template <class T>
bool is_nearest(uint16_t bits, double v) {
  if (std::isnan(v)) {
    const bool quiet = (bits >> (kFormat<T>.mantissa - 1) & 1u) != 0;
    return is_nan<T>(bits) && quiet && std::signbit(v) == (bits >> 15 != 0);
  }
  if (is_nan<T>(bits) || std::signbit(v) != (bits >> 15 != 0)) return false;
  const uint32_t r = bits & 0x7fffu;
  const auto infinity = static_cast<uint32_t>((2 * kFormat<T>.bias + 1) << kFormat<T>.mantissa);
  const bool even = (r & 1u) == 0;
  const double x = std::fabs(v), at = magnitude<T>(r);
  if (r > 0) {
    const double low = (magnitude<T>(r - 1) + at) / 2;
    if (x < low || (x == low && !even)) return false;
  }
  if (r < infinity) {
    const double high = (at + magnitude<T>(r + 1)) / 2;
    if (x > high || (x == high && !even)) return false;
  }
  return true;
}

template <class T>
T of_bits(uint16_t bits) {
  T value;
  value.bits = bits;
  return value;
}

template <class T, class From>
std::vector<T> convert(const std::vector<From>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())})
      .to(tensor::dtype_of<T>::value)
      .template to_vector<T>();
}

// Scalar conversions and the copy kernel's (eight at a time where the processor can, denormals flushed).
template <class T, class From>
void check_rounding(const std::vector<From>& values) {
  const std::vector<T> copied = convert<T>(values);
  int64_t wrong = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const T scalar(values[i]);
    if (is_nearest<T>(scalar.bits, static_cast<double>(values[i])) && scalar.bits == copied[i].bits) continue;
    if (++wrong == 1)
      MESSAGE("first wrong: " << values[i] << " gives " << scalar.bits << " and " << copied[i].bits);
  }
  CHECK(wrong == 0);
}

template <class T>
void check_all_values() {
  std::vector<T> all;
  for (uint32_t bits = 0; bits < 65536; ++bits) all.push_back(of_bits<T>(static_cast<uint16_t>(bits)));
  const Tensor x = Tensor::from(all, {65536});
  const std::vector<float> narrow = x.to(DType::f32).to_vector<float>();
  const std::vector<double> wide = x.to(DType::f64).to_vector<double>();
  const std::vector<T> back = convert<T>(narrow), back_wide = convert<T>(wide);
  int64_t wrong = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const T value = all[bits];
    const auto f = static_cast<float>(value);
    const auto d = static_cast<double>(value);
    bool good = std::bit_cast<uint32_t>(f) == std::bit_cast<uint32_t>(narrow[bits]) &&
                std::bit_cast<uint64_t>(d) == std::bit_cast<uint64_t>(wide[bits]);
    if (is_nan<T>(bits)) {
      // Quiet, with sign and payload.
      const uint32_t quiet = bits | 1u << (kFormat<T>.mantissa - 1);
      good = good && std::isnan(f) && std::isnan(d) && back[bits].bits == quiet &&
             back_wide[bits].bits == quiet && T(f).bits == quiet;
    } else {
      const bool finite = (bits & 0x7fffu) != (0x7fffu >> kFormat<T>.mantissa << kFormat<T>.mantissa);
      const double expected = std::copysign(finite ? magnitude<T>(bits) : INFINITY, bits >> 15 ? -1.0 : 1.0);
      good = good && std::bit_cast<uint64_t>(d) == std::bit_cast<uint64_t>(expected) &&
             std::bit_cast<uint32_t>(f) == std::bit_cast<uint32_t>(static_cast<float>(expected)) &&
             back[bits].bits == bits && back_wide[bits].bits == bits && T(f).bits == bits &&
             T(d).bits == bits;
    }
    if (!good && ++wrong == 1) MESSAGE("first wrong value: " << bits);
  }
  CHECK(wrong == 0);
}

Tensor random(const tensor::Shape& shape, DType dtype, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = normal(generator);
  return Tensor::from(values, shape).to(dtype);
}

std::vector<double> values(const Tensor& x) { return x.to(DType::f64).to_vector<double>(); }

// A kernel's 16-bit result has to be its f32 result, rounded.
void check_rounded(const Tensor& half, const Tensor& single) {
  CHECK(values(half) == values(single.to(half.dtype())));
}

}  // namespace

TEST_CASE("16-bit floats: all values, both ways") {
  check_all_values<f16>();
  check_all_values<bf16>();
}

TEST_CASE("16-bit floats: rounding of random bits, of ties and beside them") {
  std::mt19937_64 generator(7);
  std::vector<float> singles;
  std::vector<double> doubles;
  for (int i = 0; i < 400000; ++i) {
    const uint64_t bits = generator();
    singles.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    // Any double, and one of a magnitude that 16-bit floats have.
    doubles.push_back(std::bit_cast<double>(bits));
    doubles.push_back(
        std::ldexp(static_cast<double>(static_cast<int64_t>(bits)), static_cast<int>(bits % 320) - 240));
  }
  for (uint32_t bits = 0; bits < 0x7f80u; ++bits)
    for (const double sign : {1.0, -1.0})
      for (const double middle :
           {(magnitude<bf16>(bits) + magnitude<bf16>(bits + 1)) / 2 * sign,
            bits < 0x7c00u ? (magnitude<f16>(bits) + magnitude<f16>(bits + 1)) / 2 * sign : 0.0}) {
        // The neighbours of a tie are what rounding through f32 would get wrong.
        for (const double v : {middle, std::nextafter(middle, INFINITY), std::nextafter(middle, -INFINITY)})
          doubles.push_back(v);
        const auto f = static_cast<float>(middle);
        for (const float v : {f, std::nextafter(f, INFINITY), std::nextafter(f, -INFINITY)})
          singles.push_back(v);
      }
  check_rounding<f16>(singles);
  check_rounding<bf16>(singles);
  check_rounding<f16>(doubles);
  check_rounding<bf16>(doubles);
  CHECK(f16(65519.99f).bits == 0x7bff);
  CHECK(f16(65520.0f).bits == 0x7c00);
  CHECK(f16(std::nextafter(65520.0, 0.0)).bits == 0x7bff);  // f32 would make it 65520
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(bf16(0x1.fep127).bits == 0x7f7f);
}

TEST_CASE("16-bit floats: integers and booleans") {
  const std::vector<int64_t> integers = {0,
                                         -1,
                                         2049,
                                         2051,
                                         65519,
                                         65520,
                                         (int64_t{1} << 62) + 1,
                                         (int64_t{257} << 54) + 1,
                                         -(int64_t{257} << 54) - 1,
                                         int64_t{257} << 54};
  const Tensor x = Tensor::from(integers, {static_cast<int64_t>(integers.size())});
  const auto half = x.to(DType::f16).to_vector<f16>();
  const auto brain = x.to(DType::bf16).to_vector<bf16>();
  for (size_t i = 0; i < integers.size(); ++i) {
    if (i < 6) CHECK(is_nearest<f16>(half[i].bits, static_cast<double>(integers[i])));
    if (i < 7) CHECK(is_nearest<bf16>(brain[i].bits, static_cast<double>(integers[i])));
  }
  // 257 lies between 256 and 258; a bit further it is no tie, though a double does not see that bit.
  CHECK(static_cast<float>(brain[7]) == 258 * 0x1p54f);
  CHECK(static_cast<float>(brain[8]) == -258 * 0x1p54f);
  CHECK(static_cast<float>(brain[9]) == 256 * 0x1p54f);
  const Tensor tiny = Tensor::from(std::vector<bf16>{of_bits<bf16>(1), of_bits<bf16>(0x8000)}, {2});
  CHECK(values(tiny.to(DType::boolean)) == std::vector<double>{1, 0});
  CHECK(values(Tensor::from(std::vector<int64_t>{3, 0}, {2}).to(DType::boolean).to(DType::f16)) ==
        std::vector<double>{1, 0});
  CHECK(tiny.slice(0, 0, 1).item() == 0x1p-133);
}

TEST_CASE("16-bit floats: subnormals in arithmetic") {
  const Tensor h = Tensor::full({40}, 0x1p-24, DType::f16);
  Tensor sum = Tensor::empty({40}, DType::f16);
  tensor::kernels::binary(sum, h, h, BinaryOp::add);
  CHECK(values(sum) == std::vector<double>(40, 0x1p-23));  // f32 has no need to flush it
  const Tensor b = Tensor::full({40}, 0x1p-130, DType::bf16);
  CHECK(values(b.clone()) == std::vector<double>(40, 0x1p-130));
  CHECK(values(b.to(DType::f32).to(DType::bf16)) == std::vector<double>(40, 0x1p-130));
  sum = Tensor::empty({40}, DType::bf16);
  tensor::kernels::binary(sum, b, b, BinaryOp::add);
  CHECK(values(sum) == std::vector<double>(40, 0));  // a subnormal float: flushed, as in f32
}

TEST_CASE("kernels take 16-bit floats through f32 and round once") {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const Tensor a = random({5, 7}, dtype, 1), b = random({7, 3}, dtype, 2), c = random({5, 3}, dtype, 3);
    const Tensor wide_a = a.to(DType::f32), wide_b = b.to(DType::f32);
    Tensor out = c.clone(), wide = c.to(DType::f32);
    tensor::kernels::matmul(out, a, b, 0.5, 2);  // reads what the output held
    tensor::kernels::matmul(wide, wide_a, wide_b, 0.5, 2);
    check_rounded(out, wide);
    // The product's sums are rounded once: f32 holds what 16 bits would not.
    const Tensor ones = Tensor::full({1, 5000}, 1, dtype);
    Tensor dot = Tensor::empty({1, 1}, DType::f32);
    tensor::kernels::matmul(dot, ones, ones.t(), 1, 0);
    CHECK(dot.item() == 5000);

    Tensor strided = Tensor::zeros({7, 10}, dtype), other = Tensor::zeros({7, 10});
    Tensor view = strided.slice(1, 1, 10, 2).t(), wide_view = other.slice(1, 1, 10, 2).t();
    tensor::kernels::add_inplace(view, a, 0.3);
    tensor::kernels::add_inplace(wide_view, wide_a, 0.3);
    check_rounded(strided, other);

    Tensor same = a.clone(), wide_same = wide_a.clone();
    tensor::kernels::softmax(same, same);  // in place
    tensor::kernels::softmax(wide_same, wide_same);
    check_rounded(same, wide_same);

    Tensor total = Tensor::empty({7}, dtype), wide_total = Tensor::empty({7});
    tensor::kernels::reduce(total, a, {0}, tensor::ReduceOp::sum);
    tensor::kernels::reduce(wide_total, wide_a, {0}, tensor::ReduceOp::sum);
    check_rounded(total, wide_total);

    Tensor greater = Tensor::empty({5, 7}, DType::boolean),
           wide_greater = Tensor::empty({5, 7}, DType::boolean);
    tensor::kernels::binary(greater, a, a.slice(0, 0, 1), BinaryOp::gt);
    tensor::kernels::binary(wide_greater, wide_a, wide_a.slice(0, 0, 1), BinaryOp::gt);
    CHECK(values(greater) == values(wide_greater));

    const Tensor ids = Tensor::from(std::vector<int64_t>{4, 0, 4}, {3});
    Tensor table = a.clone(), wide_table = wide_a.clone();
    tensor::kernels::embedding_backward(table, a.slice(0, 0, 3), ids);  // adds
    tensor::kernels::embedding_backward(wide_table, wide_a.slice(0, 0, 3), ids);
    check_rounded(table, wide_table);

    Tensor best = Tensor::empty({5, 2}, dtype), which = Tensor::empty({5, 2}, DType::i64);
    Tensor wide_best = Tensor::empty({5, 2}), wide_which = Tensor::empty({5, 2}, DType::i64);
    tensor::kernels::topk(best, which, a, 2);
    tensor::kernels::topk(wide_best, wide_which, wide_a, 2);
    check_rounded(best, wide_best);
    CHECK(which.to_vector<int64_t>() == wide_which.to_vector<int64_t>());

    Tensor squares = Tensor::empty({1}, DType::f64), wide_squares = Tensor::empty({1}, DType::f64);
    tensor::kernels::sum_squares(squares, {a, b});
    tensor::kernels::sum_squares(wide_squares, {wide_a, wide_b});
    CHECK(squares.item() == wide_squares.item());

    const Tensor x = random({1, 2, 5, 5}, dtype, 4), w = random({3, 2, 3, 3}, dtype, 5),
                 bias = random({3}, dtype, 6);
    Tensor y = Tensor::empty({1, 3, 3, 3}, dtype), wide_y = Tensor::empty({1, 3, 3, 3});
    tensor::kernels::conv2d(y, x, w, bias, {});
    tensor::kernels::conv2d(wide_y, x.to(DType::f32), w.to(DType::f32), bias.to(DType::f32), {});
    check_rounded(y, wide_y);
  }
}

TEST_CASE("an LSTM cell whose state is in f32 beside 16-bit inputs") {
  const Tensor pre = random({2, 12}, DType::bf16, 1), c = random({2, 3}, DType::f32, 2);
  Tensor h = Tensor::empty({2, 3}, DType::bf16), next = Tensor::empty({2, 3}), gates = Tensor::empty({2, 12});
  Tensor wide_h = Tensor::empty({2, 3}), wide_next = Tensor::empty({2, 3}),
         wide_gates = Tensor::empty({2, 12});
  tensor::kernels::lstm_cell({h, next, gates, pre, c});
  tensor::kernels::lstm_cell({wide_h, wide_next, wide_gates, pre.to(DType::f32), c});
  check_rounded(h, wide_h);
  CHECK(values(next) == values(wide_next));
  CHECK(values(gates) == values(wide_gates));
}

// What a conversion of the f32 result would give, and the rest as without it.
TEST_CASE("operands in 16 bits: an LSTM cell's h and dpre, an attention's context and dquery") {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const auto apart = [](int64_t rows, int64_t columns, DType type) {
      return Tensor::zeros({rows, columns + 5}, type).slice(1, 2, 2 + columns);
    };
    const Tensor pre = random({3, 36}, DType::f32, 1), c = random({3, 9}, DType::f32, 2);
    const auto cell = [&](const Tensor& operand) {
      tensor::LstmCell a{
          apart(3, 9, DType::f32), apart(3, 9, DType::f32), apart(3, 36, DType::f32), pre, c, operand};
      tensor::kernels::lstm_cell(a);
      return a;
    };
    const tensor::LstmCell with = cell(apart(3, 9, dtype)), without = cell({});
    CHECK(values(with.h) == values(without.h));
    CHECK(values(with.h_operand) == values(without.h.to(dtype)));
    const auto back = [&](const Tensor& operand) {
      tensor::LstmCellBackward a;
      a.dpre = with.gates.clone(), a.gates = a.dpre, a.dc_prev = apart(3, 9, DType::f32);
      a.dh = random({3, 9}, DType::f32, 3), a.dc = random({3, 9}, DType::f32, 4);
      a.c = with.c, a.c_prev = c, a.dpre_operand = operand;
      tensor::kernels::lstm_cell_backward(a);
      return a;
    };
    const tensor::LstmCellBackward d = back(apart(3, 36, dtype)), plain = back({});
    CHECK(values(d.dpre) == values(plain.dpre));
    CHECK(values(d.dpre_operand) == values(plain.dpre.to(dtype)));
    CHECK_THROWS_WITH_AS(cell(apart(3, 9, DType::f32)),
                         doctest::Contains("lstm_cell: h as an operand is (3, 9) f32, beside (3, 9) f32"),
                         tensor::Error);
    CHECK_THROWS_WITH_AS(cell(apart(3, 8, dtype)), doctest::Contains("lstm_cell: h as an operand is (3, 8)"),
                         tensor::Error);

    for (const DType keys : {DType::f32, DType::f16, DType::bf16}) {
      tensor::AdditiveAttention a;
      a.keys = random({2, 5, 7}, DType::f32, 5).to(keys),
      a.values = random({2, 5, 9}, DType::f32, 6).to(keys);
      a.query = random({3, 7}, DType::f32, 7), a.v = random({7}, DType::f32, 8);
      a.image = Tensor::from<int64_t>({1, 0, 1}, {3});
      a.alpha = Tensor::empty({3, 5}), a.context = apart(3, 9, DType::f32);
      tensor::kernels::additive_attention(a);
      const Tensor wide = a.context;
      a.context = apart(3, 9, dtype);
      tensor::kernels::additive_attention(a);
      CHECK(values(a.context) == values(wide.to(dtype)));

      tensor::AdditiveAttentionBackward g;
      g.keys = a.keys, g.values = a.values, g.query = a.query, g.v = a.v, g.image = a.image,
      g.alpha = a.alpha;
      g.dcontext = random({3, 9}, DType::f32, 9);
      const auto gradients = [&](DType type) {
        g.dkeys = Tensor::zeros({2, 5, 7}), g.dvalues = Tensor::zeros({2, 5, 9}), g.dv = Tensor::zeros({7});
        g.dquery = apart(3, 7, type);
        tensor::kernels::additive_attention_backward(g);
        return values(g.dkeys);
      };
      const std::vector<double> dkeys = gradients(DType::f32);
      const Tensor dquery = g.dquery;
      CHECK(gradients(dtype) == dkeys);
      CHECK(values(g.dquery) == values(dquery.to(dtype)));
    }
  }
}

TEST_CASE("cross-entropy reads 16-bit logits and writes their gradient as they are") {
  const Tensor targets = Tensor::from<int64_t>({3, -100, 0, 40}, {4}), rows = random({4}, DType::f32, 3),
               weight = random({41}, DType::f32, 4);
  for (const DType dtype : {DType::f16, DType::bf16})
    for (const double smoothing : {0.0, 0.1}) {
      const Tensor logits = random({4, 41}, dtype, 2), wide = logits.to(DType::f32);
      Tensor losses = Tensor::empty({4}), wide_losses = Tensor::empty({4});
      tensor::kernels::cross_entropy(losses, logits, targets, weight, {-100, smoothing});
      tensor::kernels::cross_entropy(wide_losses, wide, targets, weight, {-100, smoothing});
      CHECK(values(losses) == values(wide_losses));
      Tensor d = Tensor::empty({4, 41}, dtype), in_place = logits.clone(), wide_d = Tensor::empty({4, 41});
      tensor::kernels::cross_entropy_backward(d, logits, targets, weight, rows, {-100, smoothing});
      tensor::kernels::cross_entropy_backward(in_place, in_place, targets, weight, rows, {-100, smoothing});
      tensor::kernels::cross_entropy_backward(wide_d, wide, targets, weight, rows, {-100, smoothing});
      CHECK(values(d) == values(wide_d.to(dtype)));
      CHECK(values(in_place) == values(d));
      CHECK_THROWS_WITH_AS(
          tensor::kernels::cross_entropy_backward(wide_d, logits, targets, weight, rows, {-100, smoothing}),
          doctest::Contains("cross_entropy: a gradient (4, 41) f32 for logits (4, 41)"), tensor::Error);
    }
}

TEST_CASE("optimisers do not take 16-bit weights") {
  const std::vector<Tensor> zeros = {Tensor::zeros({2}, DType::f16)};
  CHECK_THROWS_WITH_AS(tensor::kernels::adamw({.weights = zeros, .m = zeros, .v = zeros, .gradients = zeros}),
                       doctest::Contains("adamw: f32 or f64 is needed, not f16"), tensor::Error);
}

TEST_CASE("16-bit results do not depend on the number of threads") {
  const Tensor x = random({300, 301}, DType::f16, 1);
  const int before = tensor::num_threads();
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2, 4}) {
    tensor::set_num_threads(threads);
    Tensor out = Tensor::empty({300, 300}, DType::f16);
    tensor::kernels::matmul(out, x, x.t(), 1, 0);
    results.push_back(values(out));
  }
  tensor::set_num_threads(before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}
