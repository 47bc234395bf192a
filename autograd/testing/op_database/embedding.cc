#include "autograd/testing/op_database/common.h"
#include "tensor/format.h"

namespace autograd::testing {

void add_embedding(std::vector<OpRecord>& all) {
  OpRecord record{"embedding", "embedding"};
  record.tolerance = {2e-6, 1e-13, "the gradient adds up the rows of equal ids"};
  uint64_t seed = 1000;
  for (const auto& [weight, ids] : std::vector<std::pair<Shape, Shape>>{{{5, 3}, {4}},
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
        {tensor::format("{} rows of {}", text(ids), text(weight)),
         {floating(random_array(weight, seed++)), indices(random_indices(ids, seed++, weight[0]))},
         [](const Variables& in) { return Variables{embedding(in[0], in[1].data())}; },
         [](const std::vector<Array>& in) {
           Shape shape = in[1].shape;
           shape.push_back(in[0].size(1));
           return std::vector<Array>{make_array(shape, [&](Index i) {
             const int64_t column = i.back();
             i.pop_back();
             return in[0]({static_cast<int64_t>(in[1](i)), column});
           })};
         },
         {},
         weight.numel() > 1000});
  record.errors = {refuses("an id beyond the rows",
                           [] {
                             embedding(zeros({3, 2}), Tensor::full({2}, 3, DType::i64));
                           },
                           ErrorKind::index, {"embedding", "3", "(3, 2)"}),
                   refuses("a negative id",
                           [] {
                             embedding(zeros({3, 2}), Tensor::full({2}, -1, DType::i64));
                           },
                           ErrorKind::index, {"embedding", "-1", "(3, 2)"}),
                   refuses("an id where there are no rows",
                           [] {
                             embedding(zeros({0, 2}), Tensor::zeros({1}, DType::i64));
                           },
                           ErrorKind::index, {"embedding", "(0, 2)"}),
                   refuses("ids that are no i64",
                           [] {
                             embedding(zeros({3, 2}), Tensor::zeros({2}));
                           },
                           ErrorKind::dtype, {"embedding", "f32"})};
  all.push_back(std::move(record));
}

}  // namespace autograd::testing
