#include <algorithm>
#include <limits>
#include <numeric>

#include "tests/tensor/reference.h"

using namespace tests;
using tensor::ReduceOp;

namespace {

struct Naive {
  Shape kept, dropped;
  std::vector<double> out, sizes;  // sizes: sum of |x|, the scale of a sum's rounding error
};

Naive naive_reduce(const Tensor& x, const std::vector<int>& dims, ReduceOp op) {
  Naive n;
  std::vector<bool> reduced(static_cast<size_t>(x.rank()));
  for (const int d : dims) reduced[static_cast<size_t>(d < 0 ? d + x.rank() : d)] = true;
  int64_t count = 1;
  for (int d = 0; d < x.rank(); ++d) {
    const bool r = reduced[static_cast<size_t>(d)];
    n.kept.push_back(r ? 1 : x.size(d));
    if (r)
      count *= x.size(d);
    else
      n.dropped.push_back(x.size(d));
  }
  const double start = op == ReduceOp::max ? -INFINITY : op == ReduceOp::min ? INFINITY : 0;
  n.out.assign(static_cast<size_t>(n.kept.numel()), start);
  n.sizes.assign(n.out.size(), 0);
  const std::vector<double> v = values(x);
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t rest = i, at = 0, scale = 1;
    for (int d = x.rank() - 1; d >= 0; --d) {
      if (!reduced[static_cast<size_t>(d)]) {
        at += rest % x.size(d) * scale;
        scale *= x.size(d);
      }
      rest /= x.size(d);
    }
    double& o = n.out[static_cast<size_t>(at)];
    const double e = v[static_cast<size_t>(i)];
    n.sizes[static_cast<size_t>(at)] += std::abs(e);
    o = op == ReduceOp::max ? std::max(o, e) : op == ReduceOp::min ? std::min(o, e) : o + e;
  }
  if (op == ReduceOp::mean)
    for (size_t k = 0; k < n.out.size(); ++k) {
      n.out[k] /= static_cast<double>(count);
      n.sizes[k] /= static_cast<double>(count);
    }
  return n;
}

}  // namespace

TEST_CASE("reduce equals a plain loop for every op, type, layout and set of dimensions") {
  const Shape shapes[] = {{}, {1}, {9}, {3, 5}, {4, 1, 3}, {2, 3, 4, 5}, {70, 300}, {300, 70}, {3, 130, 129}};
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : shapes) {
      for (const auto& [name, x] : layouts(shape, dtype, 21)) {
        for (unsigned mask = 0; mask < 1u << shape.rank(); ++mask) {
          std::vector<int> dims;
          for (int d = 0; d < shape.rank(); ++d)
            if (mask >> d & 1u) dims.push_back(d % 2 == 0 ? d : d - shape.rank());
          for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::max, ReduceOp::min}) {
            const Naive want = naive_reduce(x, dims, op);
            for (const Shape& out_shape : {want.kept, want.dropped}) {
              Tensor out = Tensor::empty(out_shape, dtype);
              tensor::kernels::reduce(out, x, dims, op);
              const std::vector<double> got = values(out);
              double worst = 0;
              for (size_t k = 0; k < got.size(); ++k)
                worst = std::max(worst, std::abs(got[k] - want.out[k]) / (want.sizes[k] + 1e-30));
              CHECK_MESSAGE(worst <= (dtype == DType::f32 ? 6.1e-8 : 2e-14), describe(x), " ", name, " mask ",
                            mask, " op ", static_cast<int>(op), ": ", worst);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("reduce of nothing: sum 0, mean NaN, max an error; an empty output is left alone") {
  const Tensor x = Tensor::empty({0, 3});
  Tensor out = Tensor::full({3}, 7);
  tensor::kernels::reduce(out, x, {0}, ReduceOp::sum);
  CHECK(values(out) == std::vector<double>{0, 0, 0});
  tensor::kernels::reduce(out, x, {0}, ReduceOp::mean);
  CHECK(std::isnan(values(out)[2]));
  check_error(ErrorKind::shape, {"(0, 3)"}, [&] { tensor::kernels::reduce(out, x, {0}, ReduceOp::max); });
  Tensor none = Tensor::empty({0});
  tensor::kernels::reduce(none, x, {1}, ReduceOp::max);
}

// torch: amax, amin, argmax of torch.zeros(0, 0) over 1 are IndexErrors; cumsum(torch.zeros(2, 0), 1) is (2,
// 0), and topk(torch.zeros(2, 0), 0) (2, 0), topk(torch.zeros(2, 0), 1) "selected index k out of range".
TEST_CASE(
    "the greatest and least of no elements are errors even for no rows; sums and orders of nothing are not") {
  for (const Shape& shape : {Shape{0, 0}, Shape{2, 0}}) {
    const Tensor x = Tensor::zeros(shape);
    Tensor rows = Tensor::zeros({shape[0]}), places = Tensor::zeros({shape[0]}, DType::i64), none = x.clone(),
           none_places = x.to(DType::i64);
    const std::string text = to_string(shape);
    check_error(ErrorKind::shape, {"reduce", text},
                [&] { tensor::kernels::reduce(rows, x, {1}, ReduceOp::max); });
    check_error(ErrorKind::shape, {"reduce", text},
                [&] { tensor::kernels::reduce(rows, x, {1}, ReduceOp::min); });
    check_error(ErrorKind::shape, {"argmax", text}, [&] { tensor::kernels::argmax(places, x); });
    check_error(ErrorKind::argument, {"topk", "1", text},
                [&] { tensor::kernels::topk(none, none_places, x, 1); });
    tensor::kernels::topk(none, none_places, x, 0);
    tensor::kernels::cumsum(none, x);
    tensor::kernels::softmax(none, x);
    tensor::kernels::log_softmax(none, x);
  }
  Tensor none = Tensor::zeros({0});
  tensor::kernels::reduce(none, Tensor::zeros({0, 3}), {1}, ReduceOp::min);  // three of each of no rows
  tensor::kernels::cumsum(none, Tensor::zeros({0}));
  Tensor squares = Tensor::full({1}, 7, DType::f64);
  tensor::kernels::sum_squares(squares, {Tensor::zeros({0, 3})});
  CHECK(squares.item() == 0);
}

TEST_CASE("sums of a million floats lose nothing; NaN wins a maximum") {
  Tensor x = Tensor::full({1 << 20}, 0.1), out = Tensor::empty({});
  tensor::kernels::reduce(out, x, {0}, ReduceOp::sum);
  CHECK(static_cast<float>(out.item()) == static_cast<float>((1 << 20) * static_cast<double>(0.1f)));
  x.mutable_data<float>()[777777] = std::numeric_limits<float>::quiet_NaN();
  tensor::kernels::reduce(out, x, {0}, ReduceOp::max);
  CHECK(std::isnan(out.item()));
  tensor::kernels::reduce(out, x, {0}, ReduceOp::min);
  CHECK(std::isnan(out.item()));
}

TEST_CASE("reductions do not depend on the number of threads") {
  const Tensor x = random({611, 1203}, DType::f32, 31), y = random({40, 33, 333}, DType::f32, 32);
  const std::vector<int> sets[] = {{0}, {1}, {0, 1}};
  for (const std::vector<int>& dims : sets)
    check_threads([&] {
      Tensor out = Tensor::empty(naive_reduce(x, dims, ReduceOp::sum).dropped);
      tensor::kernels::reduce(out, x, dims, ReduceOp::sum);
      return out;
    });
  check_threads([&] {
    Tensor out = Tensor::empty({33});
    tensor::kernels::reduce(out, y, {0, 2}, ReduceOp::mean);
    return out;
  });
  check_threads([&] {
    Tensor out = Tensor::empty({1}, DType::f64);
    tensor::kernels::sum_squares(out, {x, y, x.t()});
    return out;
  });
}

TEST_CASE("argmax finds the first of equals in every layout, and NaN before all") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto& [name, x] : layouts({6, 5, 300}, dtype, 41)) {
      Tensor rounded = x.clone();
      for (int64_t i = 0; i < rounded.numel(); ++i)
        if (dtype == DType::f32) {
          float& v = rounded.mutable_data<float>()[i];
          v = std::round(v * 4);
        }
      const Tensor& t = dtype == DType::f32 ? rounded : x;
      Tensor out = Tensor::empty({6, 5}, DType::i64);
      tensor::kernels::argmax(out, t);
      const std::vector<double> v = values(t), got = values(out);
      for (int64_t r = 0; r < 30; ++r) {
        const auto row = v.begin() + r * 300;
        CHECK_MESSAGE(got[static_cast<size_t>(r)] == std::max_element(row, row + 300) - row, name);
      }
    }
  }
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::from(std::vector<float>{1, nan, inf, nan, -inf, -inf, -inf, -inf}, {2, 4});
  Tensor out = Tensor::empty({2}, DType::i64);
  tensor::kernels::argmax(out, x);
  CHECK(values(out) == std::vector<double>{1, 0});
  Tensor empty_out = Tensor::empty({2}, DType::i64);
  check_error(ErrorKind::shape, {"argmax", "(2, 0)"}, [&] {
    tensor::kernels::argmax(empty_out, Tensor::empty({2, 0}));
  });
}

TEST_CASE("topk equals a stable sort, for small and large k") {
  for (const auto& [name, x] : layouts({7, 400}, DType::f32, 51)) {
    Tensor t = x.clone();
    for (int64_t i = 0; i < t.numel(); ++i) {  // many equals
      float& v = t.mutable_data<float>()[i];
      v = std::round(v * 8);
    }
    for (const int64_t k : {int64_t{0}, int64_t{1}, int64_t{5}, int64_t{32}, int64_t{33}, int64_t{400}}) {
      Tensor best = Tensor::empty({7, k}), where = Tensor::empty({7, k}, DType::i64);
      tensor::kernels::topk(best, where, t, k);
      const std::vector<double> v = values(t), b = values(best), w = values(where);
      for (int64_t r = 0; r < 7; ++r) {
        std::vector<int64_t> order(400);
        std::iota(order.begin(), order.end(), int64_t{0});
        const auto row = v.begin() + r * 400;
        std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return row[i] > row[j]; });
        bool same = true;
        for (int64_t j = 0; j < k; ++j) {
          const auto at = static_cast<size_t>(r * k + j);
          const int64_t i = order[static_cast<size_t>(j)];
          same = same && w[at] == static_cast<double>(i) && b[at] == row[i];
        }
        CHECK_MESSAGE(same, name, " k ", k, " row ", r);
      }
    }
  }
  Tensor best = Tensor::empty({7, 9}), where = Tensor::empty({7, 9}, DType::i64);
  check_error(ErrorKind::argument, {"topk", "9", "(7, 5)"}, [&] {
    tensor::kernels::topk(best, where, Tensor::zeros({7, 5}), 9);
  });
}

TEST_CASE("cumsum and sum_squares equal plain loops") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto& [name, x] : layouts({3, 4, 50}, dtype, 61)) {
      Tensor out = Tensor::empty({3, 4, 50}, dtype);
      tensor::kernels::cumsum(out, x);
      std::vector<double> want = values(x);
      double squares = 0;
      for (const double v : want) squares += v * v;
      long double sum = 0;  // f64's sums are more exact than a plain f64 loop
      for (size_t i = 0; i < want.size(); ++i) {
        sum = static_cast<long double>(want[i]) + (i % 50 != 0 ? sum : 0.0L);
        want[i] = static_cast<double>(sum);
      }
      CHECK_MESSAGE(worst_relative(values(out), want, 1) <= (dtype == DType::f32 ? 1e-7 : 1e-15), name);
      Tensor total = Tensor::empty({1}, DType::f64);
      tensor::kernels::sum_squares(total, {x, Tensor::full({5}, 2, DType::f32), Tensor::empty({0})});
      CHECK(total.item() == doctest::Approx(squares + 20).epsilon(1e-13));
    }
  }
  Tensor total = Tensor::full({1}, 9, DType::f64);
  tensor::kernels::sum_squares(total, {});
  CHECK(total.item() == 0);
}

TEST_CASE("reduce's errors name what is wrong") {
  Tensor out = Tensor::empty({2});
  const Tensor x = Tensor::zeros({2, 3});
  check_error(ErrorKind::shape, {"reduce", "(2, 3)", "(3)", "(2)"},
              [&] { tensor::kernels::reduce(out, x, {0}, ReduceOp::sum); });
  check_error(ErrorKind::index, {"reduce", "2"},
              [&] { tensor::kernels::reduce(out, x, {2}, ReduceOp::sum); });
  check_error(ErrorKind::argument, {"twice"}, [&] {
    tensor::kernels::reduce(out, x, {1, -1}, ReduceOp::sum);
  });
  check_error(ErrorKind::dtype, {"reduce", "f64"},
              [&] { tensor::kernels::reduce(out, x.to(DType::f64), {1}, ReduceOp::sum); });
}
