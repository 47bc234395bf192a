#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

Array reference(const std::vector<Array>& in) {
  Shape shape = in[1].shape;
  shape.push_back(in[0].size(1));
  return make_array(shape, [&](Index i) {
    const int64_t column = i.back();
    i.pop_back();
    return in[0]({static_cast<int64_t>(in[1](i)), column});
  });
}

}  // namespace

std::vector<OpRecord> embedding_ops() {
  OpRecord record{
      .name = "embedding",
      .tolerance = {.f32 = 2e-6, .f64 = 1e-13, .reason = "the gradient adds up the rows of equal ids"}};
  Draws draw(1000);
  for (const auto& [weight, rows] : std::vector<std::pair<Shape, Shape>>{{{5, 3}, {4}},
                                                                         {{5, 3}, {2, 3}},
                                                                         {{1, 1}, {1}},
                                                                         {{3, 2}, {0}},
                                                                         {{3, 2}, {}},
                                                                         {{400, 64}, {40, 20}},
                                                                         {{3, 2}, {2, 0}},
                                                                         {{3, 0}, {2}},
                                                                         {{0, 2}, {0}},
                                                                         {{0, 0}, {0, 3}}})
    record.samples.push_back(
        {.label = tensor::format("{} rows of {}", text(rows), text(weight)),
         .inputs = {floating(draw(weight)), indices(random_indices(rows, draw.seed(), weight[0]))},
         .op = one([](const Variables& in) { return embedding(in[0], in[1].data()); }),
         .reference = one_array(reference)});
  record.errors = {refuses("an id beyond the rows", [] { embedding(zeros(3, 2), ids(2, 3)); },
                           ErrorKind::index, {"embedding", "3", "(3, 2)"}),
                   refuses("a negative id", [] { embedding(zeros(3, 2), ids(2, -1)); }, ErrorKind::index,
                           {"embedding", "-1", "(3, 2)"}),
                   refuses("an id where there are no rows", [] { embedding(zeros(0, 2), ids(1)); },
                           ErrorKind::index, {"embedding", "(0, 2)"}),
                   refuses("ids that are no i64", [] { embedding(zeros(3, 2), zeros(2).data()); },
                           ErrorKind::dtype, {"embedding", "f32"})};
  return {record};
}

}  // namespace autograd::testing
