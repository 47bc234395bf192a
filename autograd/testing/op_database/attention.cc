#include "autograd/testing/op_database/recurrent.h"
#include "tensor/format.h"

namespace autograd::testing {
namespace {

using Op = Attention (*)(const Variable&, const Variable&, const Variable&, const Tensor&, const Variable&,
                         const Variable&);

// inputs: keys, values, query, image, v and, where there is one, v_bias
std::vector<Array> reference(const std::vector<Array>& in) {
  const int64_t n = in[2].size(0), places = in[0].size(1), width = in[1].size(2);
  Array context(Shape{n, width}), alpha(Shape{n, places});
  for (int64_t i = 0; i < n; ++i) {
    const AttentionRow row = attention_row(in[0], in[1], static_cast<int64_t>(in[3]({i})), row_of(in[2], i),
                                           in[4], in.size() > 5 ? in[5].values[0] : 0);
    for (int64_t d = 0; d < width; ++d) context({i, d}) = row.context[static_cast<size_t>(d)];
    for (int64_t p = 0; p < places; ++p) alpha({i, p}) = row.alpha[static_cast<size_t>(p)];
  }
  return {context, alpha};
}

OpFunction call(Op op) {
  return [op](const Variables& in) {
    const Attention a = op(in[0], in[1], in[2], in[3].data(), in[4], in.size() > 5 ? in[5] : Variable());
    return Variables{a.context, a.alpha};
  };
}

OpRecord record_of(const char* name, Op op, bool fused) {
  OpRecord record{name, "attention", fused ? OpRecord::Derivatives::once : OpRecord::Derivatives::twice};
  record.fused = fused;
  record.tolerance = {5e-6, 1e-12, "sums, and the float kernel's own exponential and tanh, within 3e-7 each"};
  record.tolerance.roundings = fused ? 2 : 4;  // of scores, weights and context
  uint64_t seed = 1400;
  struct Case {
    int64_t images, places, size, width, queries;
    bool bias;
  };
  for (const Case& c : {Case{2, 3, 2, 3, 3, true}, Case{2, 3, 2, 3, 3, false}, Case{1, 1, 1, 1, 1, true},
                        Case{3, 2, 2, 2, 2, true}, Case{4, 49, 32, 48, 6, true}, Case{2, 3, 2, 3, 0, true},
                        Case{0, 3, 2, 3, 0, true}, Case{2, 3, 0, 3, 3, true}, Case{2, 3, 2, 0, 3, false}}) {
    Sample sample{tensor::format("{} queries over {} images of {} places{}", c.queries, c.images, c.places,
                                 c.bias ? "" : ", no bias"),
                  {floating(random_array({c.images, c.places, c.size}, seed)),
                   floating(random_array({c.images, c.places, c.width}, seed + 1)),
                   floating(random_array({c.queries, c.size}, seed + 2)),
                   indices(random_indices({c.queries}, seed + 3, c.images)),
                   floating(random_array({c.size}, seed + 4))},
                  call(op),
                  reference,
                  {},
                  c.places * c.size > 1000};
    if (c.bias) sample.inputs.push_back(without_effect(random_array({1}, seed + 5)));
    if (fused) sample.composed = call(additive_attention_composed);
    seed += 6;
    record.samples.push_back(std::move(sample));
  }
  const auto with = [op](const Shape& values, const Shape& query, int64_t image) {
    return [=] {
      op(zeros({2, 3, 4}), zeros(values), zeros(query),
         Tensor::full({query[0]}, static_cast<double>(image), DType::i64), zeros({4}), {});
    };
  };
  record.errors = {
      refuses("values of other places", with({2, 5, 6}, {3, 4}, 0), ErrorKind::shape,
              {"(2, 3, 4)", "(2, 5, 6)"}),
      refuses("queries of another size", with({2, 3, 6}, {3, 5}, 0), ErrorKind::shape,
              {"(2, 3, 4)", "(3, 5)"}),
      refuses("no places",
              [op] {
                op(zeros({2, 0, 4}), zeros({2, 0, 6}), zeros({3, 4}), Tensor::zeros({3}, DType::i64),
                   zeros({4}), {});
              },
              ErrorKind::shape, {name, "(2, 0, 4)"}),
      refuses("an image that is not there", with({2, 3, 6}, {3, 4}, 2), ErrorKind::index, {"2"})};
  return record;
}

}  // namespace

void add_attention(std::vector<OpRecord>& all) {
  all.push_back(record_of("additive_attention", additive_attention, true));
  all.push_back(record_of("additive_attention_composed", additive_attention_composed, false));
}

}  // namespace autograd::testing
