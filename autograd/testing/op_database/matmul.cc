#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

Array product(const Array& a, const Array& b) {
  const int ra = a.shape.rank(), rb = b.shape.rank();
  Shape lead_a, lead_b;
  for (int d = 0; d + 2 < ra; ++d) lead_a.push_back(a.shape[d]);
  for (int d = 0; d + 2 < rb; ++d) lead_b.push_back(b.shape[d]);
  Shape shape = tensor::broadcast(lead_a, lead_b, "reference");
  const int lead = shape.rank();
  shape.push_back(a.shape[ra - 2]);
  shape.push_back(b.shape[rb - 1]);
  const auto at = [&](const Array& x, const Index& i, int64_t row, int64_t column) {
    Index own(static_cast<size_t>(x.shape.rank()));
    for (int d = 0; d + 2 < x.shape.rank(); ++d) {
      const int64_t k = i[static_cast<size_t>(lead - (x.shape.rank() - 2) + d)];
      own[static_cast<size_t>(d)] = x.shape[d] == 1 ? 0 : k;
    }
    own[own.size() - 2] = row;
    own[own.size() - 1] = column;
    return x(own);
  };
  return make_array(shape, [&](const Index& i) {
    double sum = 0;
    for (int64_t k = 0; k < a.shape[ra - 1]; ++k)
      sum += at(a, i, i[static_cast<size_t>(lead)], k) * at(b, i, k, i[static_cast<size_t>(lead) + 1]);
    return sum;
  });
}

}  // namespace

void add_matmul(std::vector<OpRecord>& all) {
  OpRecord mm{"matmul", "matmul"};
  mm.tolerance = {3e-6, 1e-13, "sums of up to 256 products, in the order of the library"};
  uint64_t seed = 400;
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
    mm.samples.push_back(
        {text(a) + " x " + text(b),
         {floating(random_array(a, seed++)), floating(random_array(b, seed++))},
         [](const Variables& in) { return Variables{matmul(in[0], in[1])}; },
         [](const std::vector<Array>& in) { return std::vector<Array>{product(in[0], in[1])}; },
         {},
         a.numel() > 1000});
  mm.errors = {refuses("inner sizes that differ",
                       [] {
                         matmul(zeros({2, 3}), zeros({4, 5}));
                       },
                       ErrorKind::shape, {"matmul", "(2, 3)", "(4, 5)"}),
               refuses("two types",
                       [] {
                         matmul(zeros({2, 3}), zeros({3, 2}, DType::f64));
                       },
                       ErrorKind::dtype, {"matmul", "f32", "f64"}),
               refuses("a vector",
                       [] {
                         matmul(zeros({3}), zeros({3, 2}));
                       },
                       ErrorKind::shape, {"matmul", "(3)"})};
  all.push_back(std::move(mm));

  OpRecord lin{"linear", "matmul"};
  lin.fused = true;
  lin.tolerance = {3e-6, 1e-13, "sums of up to 256 products, in the order of the library"};
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
    Sample sample{text(x) + " by " + text(w) + (bias ? " with bias" : ""),
                  {floating(random_array(x, seed)), floating(random_array(w, seed + 1))},
                  [](const Variables& in) {
                    return Variables{linear(in[0], in[1], in.size() > 2 ? in[2] : Variable())};
                  },
                  [](const std::vector<Array>& in) {
                    Shape shape = in[0].shape;
                    shape[shape.rank() - 1] = in[1].shape[0];
                    return std::vector<Array>{make_array(shape, [&](Index i) {
                      const int64_t o = i.back();
                      double sum = in.size() > 2 ? in[2]({o}) : 0;
                      for (int64_t k = 0; k < in[1].shape[1]; ++k) {
                        i.back() = k;
                        sum += in[0](i) * in[1]({o, k});
                      }
                      return sum;
                    })};
                  },
                  {},
                  x.numel() > 1000};
    if (bias) sample.inputs.push_back(floating(random_array({w[0]}, seed + 2)));
    if (x.rank() >= 2)
      sample.composed = [](const Variables& in) {
        const Variable y = matmul(in[0], transpose(in[1], 0, 1));
        return Variables{in.size() > 2 ? y + in[2] : y};
      };
    seed += 3;
    lin.samples.push_back(std::move(sample));
  }
  lin.errors = {refuses("another input size",
                        [] {
                          linear(zeros({2, 5}), zeros({8, 4}));
                        },
                        ErrorKind::shape, {"linear", "(2, 5)", "(8, 4)"}),
                refuses("another bias",
                        [] {
                          linear(zeros({2, 4}), zeros({8, 4}), zeros({7}));
                        },
                        ErrorKind::shape, {"linear", "(7)"})};
  all.push_back(std::move(lin));
}

}  // namespace autograd::testing
