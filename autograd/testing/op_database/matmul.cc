#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

constexpr Tolerance kProducts = {
    .f32 = 3e-6, .f64 = 1e-13, .reason = "sums of up to 256 products, in the order of the library"};

Array product(const Array& a, const Array& b) {
  const auto leading = [](const Shape& s) { return Shape(std::span(s.begin(), s.end() - 2)); };
  Shape shape = tensor::broadcast(leading(a.shape), leading(b.shape), "reference");
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  return make_array(shape, [&](const Index& i) {
    Index left = i, right = i;
    double sum = 0;
    for (int64_t k = 0; k < a.size(-1); ++k) {
      left[left.size() - 1] = right[right.size() - 2] = k;
      sum += broadcast_at(a, left) * broadcast_at(b, right);
    }
    return sum;
  });
}

OpRecord matmul_op() {
  OpRecord record{.name = "matmul", .tolerance = kProducts};
  Draws draw(400);
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {3, 4}},
                                                                 {{1, 1}, {1, 1}},
                                                                 {{5, 2, 3}, {5, 3, 2}},
                                                                 {{2, 3}, {4, 3, 2}},
                                                                 {{2, 1, 2, 3}, {3, 3, 2}},
                                                                 {{0, 3}, {3, 2}},
                                                                 {{2, 0}, {0, 2}},
                                                                 {{1, 4}, {4, 3}},
                                                                 {{64, 256}, {256, 96}},
                                                                 {{2, 3}, {3, 0}},
                                                                 {{0, 0}, {0, 0}},
                                                                 {{2, 0, 3}, {2, 3, 4}},
                                                                 {{2, 1, 3}, {2, 3, 0}},
                                                                 {{2, 1, 0}, {2, 0, 4}},
                                                                 {{0, 2, 3}, {1, 3, 4}},
                                                                 {{0, 2, 3}, {3, 4}},
                                                                 {{2, 1, 2, 0}, {3, 0, 2}}})
    record.samples.push_back(
        {.label = text(a) + " x " + text(b),
         .inputs = {floating(draw(a)), floating(draw(b))},
         .op = one([](const Variables& in) { return matmul(in[0], in[1]); }),
         .reference = one_array([](const std::vector<Array>& in) { return product(in[0], in[1]); })});
  record.errors = {
      refuses("inner sizes that differ", [] { matmul(zeros(2, 3), zeros(4, 5)); }, ErrorKind::shape,
              {"matmul", "(2, 3)", "(4, 5)"}),
      refuses("two types", [] { matmul(zeros(2, 3), to(zeros(3, 2), DType::f64)); }, ErrorKind::dtype,
              {"matmul", "f32", "f64"}),
      refuses("a vector", [] { matmul(zeros(3), zeros(3, 2)); }, ErrorKind::shape, {"matmul", "(3)"})};
  return record;
}

// inputs: x, weight and, where there is one, the bias
Array linear_reference(const std::vector<Array>& in) {
  Shape shape = in[0].shape;
  shape[shape.rank() - 1] = in[1].size(0);
  return make_array(shape, [&](Index i) {
    const int64_t o = i.back();
    double sum = in.size() > 2 ? in[2]({o}) : 0;
    for (i.back() = 0; i.back() < in[1].size(1); ++i.back()) sum += in[0](i) * in[1]({o, i.back()});
    return sum;
  });
}

OpRecord linear_op() {
  OpRecord record{.name = "linear", .fused = true, .tolerance = kProducts};
  uint64_t seed = 434;
  for (const auto& [x, w, bias] : std::vector<std::tuple<Shape, Shape, bool>>{{{3, 4}, {2, 4}, true},
                                                                              {{2, 3, 4}, {5, 4}, true},
                                                                              {{3, 4}, {2, 4}, false},
                                                                              {{1, 1}, {1, 1}, true},
                                                                              {{4}, {2, 4}, true},
                                                                              {{0, 4}, {2, 4}, true},
                                                                              {{32, 256}, {128, 256}, true},
                                                                              {{2, 0}, {3, 0}, true},
                                                                              {{2, 0}, {3, 0}, false},
                                                                              {{2, 3}, {0, 3}, true},
                                                                              {{0, 0}, {0, 0}, true},
                                                                              {{2, 0, 3}, {4, 3}, true},
                                                                              {{2, 5, 0}, {4, 0}, true},
                                                                              {{0}, {3, 0}, true}}) {
    Draws draw(seed);
    seed += 3;
    Sample sample{.label = text(x) + " by " + text(w) + (bias ? " with bias" : ""),
                  .inputs = {floating(draw(x)), floating(draw(w))},
                  .op = one([](const Variables& in) { return linear(in[0], in[1], optional_input(in, 2)); }),
                  .reference = one_array(linear_reference)};
    if (bias) sample.inputs.push_back(floating(draw({w[0]})));
    if (x.rank() >= 2)
      sample.composed = one([](const Variables& in) {
        const Variable y = matmul(in[0], transpose(in[1], 0, 1));
        return in.size() > 2 ? y + in[2] : y;
      });
    record.samples.push_back(std::move(sample));
  }
  record.errors = {refuses("another input size", [] { linear(zeros(2, 5), zeros(8, 4)); }, ErrorKind::shape,
                           {"linear", "(2, 5)", "(8, 4)"}),
                   refuses("another bias", [] { linear(zeros(2, 4), zeros(8, 4), zeros(7)); },
                           ErrorKind::shape, {"linear", "(7)"})};
  return record;
}

}  // namespace

std::vector<OpRecord> matmul_ops() { return {matmul_op(), linear_op()}; }

}  // namespace autograd::testing
