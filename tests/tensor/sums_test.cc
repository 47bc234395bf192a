// Sums of millions of numbers are right to a few units in the last place, whichever kernel makes them. A
// plain f32 sum of 4 million equal numbers is wrong by thousands of them.
#include <bit>
#include <limits>
#include <numeric>

#include "tests/tensor/reference.h"

using namespace tests;
using tensor::ReduceOp;

namespace {

constexpr int64_t kCount = int64_t{1} << 22;

// How many units in the last place of T `got` is from the exact value.
template <class T>
double ulps(double got, long double exact) {
  const int exponent = std::max(std::ilogb(exact), std::numeric_limits<T>::min_exponent - 1);
  const long double unit = std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits + 1);
  return static_cast<double>(std::abs(static_cast<long double>(got) - exact) / unit);
}

template <class T>
constexpr double kFew = std::is_same_v<T, float> ? 1 : 16;

// Equal numbers, whose rounding errors all have one sign, and unequal ones.
template <class T>
std::vector<Tensor> inputs(const Shape& shape) {
  const DType dtype = tensor::dtype_of<T>::value;
  return {Tensor::full(shape, 100.3, dtype), random(shape, dtype, 7, 0.5, 1.5)};
}

// The sum of f(0) ... f(n - 1), with what rounding took away.
template <class F>
long double exact_sum(int64_t n, F f) {
  long double sum = 0, lost = 0;
  for (int64_t i = 0; i < n; ++i) {
    const long double x = f(i), next = sum + x;
    lost += std::abs(sum) >= std::abs(x) ? (sum - next) + x : (x - next) + sum;
    sum = next;
  }
  return sum + lost;
}

// Over all of dense `x` whose flat index i has chosen(i).
template <class T, class Chosen>
long double exact_sum_of(const Tensor& x, Chosen chosen) {
  const T* v = x.data<T>();
  return exact_sum(x.numel(), [&](int64_t i) { return chosen(i) ? static_cast<long double>(v[i]) : 0.0L; });
}

template <class T>
void expect_sums() {
  struct Case {
    const char* name;
    Shape shape;
    std::vector<int> dims;
    bool transposed;
    int64_t stride, period;  // output 0 sums the flat indices with i / stride % period == 0
  };
  const Case cases[] = {{"all", {kCount}, {0}, false, kCount, 1},
                        {"inner", {2, kCount / 2}, {1}, false, kCount / 2, 2},
                        {"outer, rows", {kCount / 2, 2}, {0}, false, 1, 2},
                        {"outer, columns", {kCount / 8, 8}, {0}, false, 1, 8},
                        {"middle", {2, kCount / 4, 2}, {1}, false, 1, 2},
                        {"two of three", {kCount / 12, 3, 4}, {0, 2}, false, 4, 3},
                        {"transposed", {kCount / 4, 4}, {1}, true, 1, 4},
                        {"transposed, all", {3, kCount / 3}, {0, 1}, true, kCount, 1}};
  for (const Case& c : cases)
    for (const Tensor& x : inputs<T>(c.shape)) {
      CAPTURE(std::string(c.name));
      const int64_t half = c.shape.numel() / 2;
      const bool halved = std::string(c.name) == "middle";
      const auto chosen = [&](int64_t i) { return i / c.stride % c.period == 0 && (!halved || i < half); };
      const long double exact = exact_sum_of<T>(x, chosen);
      int64_t count = 0;
      for (int64_t i = 0; i < x.numel(); ++i) count += chosen(i) ? 1 : 0;
      const Tensor source = c.transposed ? x.t() : x;
      Shape kept = source.shape();
      for (const int d : c.dims) kept[d] = 1;
      Tensor sum = Tensor::empty(kept, x.dtype()), mean = Tensor::empty(kept, x.dtype());
      tensor::kernels::reduce(sum, source, c.dims, ReduceOp::sum);
      tensor::kernels::reduce(mean, source, c.dims, ReduceOp::mean);
      CHECK(ulps<T>(values(sum)[0], exact) <= kFew<T>);
      CHECK(ulps<T>(values(mean)[0], exact / static_cast<long double>(count)) <= kFew<T>);
    }
}

template <class T>
void expect_running_sums() {
  for (const Tensor& x : inputs<T>({kCount})) {
    Tensor sums = Tensor::empty(x.shape(), x.dtype());
    tensor::kernels::cumsum(sums, x);
    long double exact = 0, lost = 0;
    double worst = 0;
    for (int64_t i = 0; i < kCount; ++i) {
      const long double value = static_cast<long double>(x.data<T>()[i]), next = exact + value;
      lost += exact >= value ? (exact - next) + value : (value - next) + exact;
      exact = next;
      worst = std::max(worst, ulps<T>(static_cast<double>(sums.data<T>()[i]), exact + lost));
    }
    CHECK(worst <= kFew<T>);
    Tensor squares = Tensor::empty({1}, DType::f64);
    tensor::kernels::sum_squares(squares, {x, x});
    const T* v = x.data<T>();
    const long double exact_squares =
        2 * exact_sum(kCount, [v](int64_t i) { return static_cast<long double>(v[i]) * v[i]; });
    CHECK(ulps<double>(squares.item(), exact_squares) <= 8);
  }
}

template <class T>
void expect_statistics(const Shape& shape) {
  CAPTURE(shape[0]);
  for (const Tensor& x : inputs<T>(shape)) {
    const DType dtype = x.dtype();
    const T* v = x.data<T>();
    const auto n = static_cast<long double>(kCount);
    const long double exact_mean =
        exact_sum(kCount, [v](int64_t i) { return static_cast<long double>(v[i]); }) / n;
    const long double exact_variance = exact_sum(kCount,
                                                 [&](int64_t i) {
                                                   const long double d =
                                                       static_cast<long double>(v[i]) - exact_mean;
                                                   return d * d;
                                                 }) /
                                       n;
    Tensor mean = Tensor::empty({1}, dtype), variance = Tensor::empty({1}, dtype);
    tensor::kernels::batch_norm_statistics(mean, variance, x);
    const double few = std::is_same_v<T, float> ? 4 : 16;  // f32 lanes of a few numbers
    CHECK(ulps<T>(values(mean)[0], exact_mean) <= few);
    if (v[0] == v[1])
      CHECK(values(variance)[0] == 0);
    else
      CHECK(ulps<T>(values(variance)[0], exact_variance) <= 8);

    // Backward with rstd 1 and mean 0: dbias = sum g, dweight = sum g x, each product rounded.
    Tensor zero = Tensor::zeros({1}, dtype), one = Tensor::full({1}, 1, dtype);
    Tensor dx = Tensor::empty(shape, dtype), dweight = Tensor::empty({1}, dtype),
           dbias = Tensor::empty({1}, dtype);
    tensor::kernels::batch_norm_backward({dx, dweight, dbias, x, x, zero, one, Tensor(), false});
    CHECK(ulps<T>(values(dbias)[0], exact_mean * n) <= few);
    const long double exact_product =
        exact_sum(kCount, [v](int64_t i) { return static_cast<long double>(v[i]) * v[i]; });
    CHECK(ulps<T>(values(dweight)[0], exact_product) <= few);
  }
}

template <class T>
void expect_pools() {
  const DType dtype = tensor::dtype_of<T>::value;
  const Shape plane = {1, 1, 2048, 2048};
  for (const Tensor& x : inputs<T>(plane)) {
    const T* v = x.data<T>();
    const long double exact = exact_sum(kCount, [v](int64_t i) { return static_cast<long double>(v[i]); });
    Tensor one = Tensor::empty({1, 1, 1, 1}, dtype);
    tensor::kernels::adaptive_avg_pool2d(one, x);
    CHECK(ulps<T>(one.item(), exact / kCount) <= kFew<T>);
    Tensor four = Tensor::empty({1, 1, 2, 2}, dtype);
    tensor::kernels::adaptive_avg_pool2d(four, x);
    const long double quarter = exact_sum(kCount, [v](int64_t i) {
      return i < kCount / 2 && i % 2048 < 1024 ? static_cast<long double>(v[i]) : 0.0L;
    });
    CHECK(ulps<T>(values(four)[0], quarter / (kCount / 4)) <= kFew<T>);
    // More cells than inputs: each input is in many.
    tensor::kernels::adaptive_avg_pool2d_backward(one, x);
    CHECK(ulps<T>(one.item(), exact) <= kFew<T>);
    tensor::kernels::adaptive_avg_pool2d_backward(four, x);
    CHECK(ulps<T>(values(four)[0], quarter) <= kFew<T>);
  }
}

template <class T>
void expect_denominators() {
  const DType dtype = tensor::dtype_of<T>::value;
  // Rising, so that the greatest so far changes in every block, and with ties: e^-k in equal parts.
  Tensor x = Tensor::empty({1, kCount}, dtype);
  for (int64_t i = 0; i < kCount; ++i) x.mutable_data<T>()[i] = static_cast<T>(i * 1024 / kCount) / 512;
  const T* v = x.data<T>();
  const auto top = static_cast<long double>(v[kCount - 1]);
  const long double sum =
      exact_sum(kCount, [&](int64_t i) { return std::exp(static_cast<long double>(v[i]) - top); });
  Tensor y = Tensor::empty(x.shape(), dtype);
  const double exps = 4;  // the exponential is right to 1.5 ulp, and rounded numbers are divided
  tensor::kernels::softmax(y, x);
  CHECK(ulps<T>(static_cast<double>(y.data<T>()[kCount - 1]), 1 / sum) <= exps);
  tensor::kernels::log_softmax(y, x);
  CHECK(ulps<T>(static_cast<double>(y.data<T>()[kCount - 1]), -std::log(sum)) <= 1);
  const Tensor target = Tensor::full({1}, static_cast<double>(kCount - 1), DType::i64);
  Tensor loss = Tensor::empty({1}, dtype), d = Tensor::empty(x.shape(), dtype);
  tensor::kernels::cross_entropy(loss, x, target, Tensor(), {-100, 0});
  CHECK(ulps<T>(loss.item(), std::log(sum)) <= 1);
  tensor::kernels::cross_entropy(loss, x, target, Tensor(), {-100, 1});  // the mean over the classes
  const long double smooth =
      exact_sum(kCount, [&](int64_t i) { return std::log(sum) - (static_cast<long double>(v[i]) - top); });
  CHECK(ulps<T>(loss.item(), smooth / kCount) <= kFew<T>);
  tensor::kernels::cross_entropy_backward(d, x, target, Tensor(), Tensor::full({1}, 1, dtype), {-100, 0});
  CHECK(ulps<T>(static_cast<double>(d.data<T>()[kCount - 2]), 1 / sum) <= exps);
}

struct Attention {
  Tensor alpha, dquery, dkeys, dv, dv_bias;
};

// Of rows that are all alike, over places that are alike in pairs.
Attention attend(int64_t rows, int64_t places) {
  constexpr int64_t kWidth = 3;
  Tensor keys = Tensor::empty({1, places, kWidth}), features = Tensor::empty({1, places, 1});
  const float key[] = {0.3f, -0.7f, 0.9f, -0.2f, 0.4f, -0.8f};
  for (int64_t i = 0; i < keys.numel(); ++i) keys.mutable_data<float>()[i] = key[i % 6];
  for (int64_t p = 0; p < places; ++p) features.mutable_data<float>()[p] = p % 2 == 0 ? 0.7f : -1.3f;
  const Tensor v = Tensor::from(std::vector<float>{0.9f, -0.4f, 0.3f}, {kWidth});
  const Tensor query = Tensor::full({rows, kWidth}, 0.1), image = Tensor::zeros({rows}, DType::i64);
  Tensor context = Tensor::empty({rows, 1});
  Attention a{Tensor::empty({rows, places}), Tensor::empty({rows, kWidth}),
              Tensor::zeros({1, places, kWidth}), Tensor::zeros({kWidth}), Tensor::zeros({1})};
  tensor::kernels::additive_attention({context, a.alpha, keys, features, query, image, v, Tensor()});
  Tensor none;
  tensor::kernels::additive_attention_backward({a.dquery, a.dkeys, none, a.dv, a.dv_bias,
                                                Tensor::full({rows, 1}, 0.7), Tensor(), a.alpha, keys,
                                                features, query, image, v});
  return a;
}

void expect_alike(const Tensor& got, const Tensor& one, double factor) {
  const std::vector<double> a = values(got), b = values(one);
  for (size_t i = 0; i < b.size(); ++i)
    CHECK(ulps<float>(a[i], static_cast<long double>(b[i] * factor)) <= 8);
}

}  // namespace

TEST_CASE("sums: reduce over every kind of dimensions") {
  expect_sums<float>();
  expect_sums<double>();
}

TEST_CASE("sums: cumsum and sums of squares") {
  expect_running_sums<float>();
  expect_running_sums<double>();
}

TEST_CASE("sums: batch norm over one plane, many images, and single values") {
  for (const Shape& shape : {Shape{1, 1, 2048, 2048}, Shape{4096, 1, 32, 32}, Shape{kCount, 1}}) {
    expect_statistics<float>(shape);
    expect_statistics<double>(shape);
  }
}

TEST_CASE("sums: squares of 1e30 are no infinite variance") {
  const Tensor x = Tensor::from(std::vector<float>{1e30f, 2e30f, 3e30f, 4e30f}, {1, 1, 2, 2});
  Tensor mean = Tensor::empty({1}), variance = Tensor::empty({1}, DType::f64);
  tensor::kernels::batch_norm_statistics(mean, variance, x);
  CHECK(mean.item() == doctest::Approx(2.5e30));
  CHECK(variance.item() == doctest::Approx(1.25e60));
}

TEST_CASE("sums: average pools, and their gradients where one input is in many cells") {
  expect_pools<float>();
  expect_pools<double>();
}

TEST_CASE("sums: the gradient of one id that comes every time") {
  for (const Tensor& g : inputs<float>({kCount})) {
    const float* v = g.data<float>();
    const long double exact = exact_sum(kCount, [v](int64_t i) { return static_cast<long double>(v[i]); });
    Tensor dweight = Tensor::full({3, 1}, 1);  // is added to
    tensor::kernels::embedding_backward(dweight, g.reshape({kCount, 1}),
                                        Tensor::full({kCount}, 2, DType::i64));
    CHECK(ulps<float>(values(dweight)[2], exact + 1) <= 4);
    CHECK(values(dweight)[0] == 1);
  }
}

TEST_CASE("sums: the denominators of softmax, log_softmax and cross-entropy") {
  expect_denominators<float>();
  expect_denominators<double>();
}

TEST_CASE("sums: attention's gradients over many rows, and over many places") {
  const int64_t pairs = kCount / 4;
  const Attention one = attend(1, 2), rows = attend(pairs, 2), places = attend(1, 2 * pairs);
  expect_alike(rows.dv, one.dv, static_cast<double>(pairs));
  expect_alike(rows.dkeys, one.dkeys, static_cast<double>(pairs));
  expect_alike(places.alpha, one.alpha, 1 / static_cast<double>(pairs));
  expect_alike(places.dquery, one.dquery, 1);
  expect_alike(places.dv, one.dv, 1);
  // In exact numbers 0: what is left is each row's own rounding.
  CHECK(std::abs(rows.dv_bias.item()) <= static_cast<double>(pairs) * 1e-7);
}
