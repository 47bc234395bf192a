#include "autograd/testing/op_database/recurrent.h"

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
    const Attention a = op(in[0], in[1], in[2], in[3].data(), in[4], optional_input(in, 5));
    return Variables{a.context, a.alpha};
  };
}

OpRecord attention_op(const char* name, Op op, bool fused) {
  OpRecord record{
      .name = name,
      .derivatives = fused ? OpRecord::Derivatives::once : OpRecord::Derivatives::twice,
      .fused = fused,
      .tolerance = {.f32 = 5e-6,
                    .f64 = 1e-12,
                    .reason = "sums, and the float kernel's own exponential and tanh, within 3e-7 each",
                    .roundings = fused ? 2 : 4}};  // of scores, weights and context
  struct Case {
    int64_t images, places, size, width, queries;
    bool bias = true;
  };
  uint64_t seed = 1400;
  for (const Case& c : {Case{2, 3, 2, 3, 3}, Case{2, 3, 2, 3, 3, false}, Case{1, 1, 1, 1, 1},
                        Case{3, 2, 2, 2, 2}, Case{4, 49, 32, 48, 6}, Case{2, 3, 2, 3, 0}, Case{0, 3, 2, 3, 0},
                        Case{2, 3, 0, 3, 3}, Case{2, 3, 2, 0, 3, false}}) {
    Draws draw(seed);
    seed += 6;
    Sample sample{
        .label = tensor::format("{} queries over {} images of {} places{}", c.queries, c.images, c.places,
                                c.bias ? "" : ", no bias"),
        .inputs = {floating(draw({c.images, c.places, c.size})),
                   floating(draw({c.images, c.places, c.width})), floating(draw({c.queries, c.size})),
                   indices(random_indices({c.queries}, draw.seed(), c.images)), floating(draw({c.size}))},
        .op = call(op),
        .reference = reference};
    if (c.bias) sample.inputs.push_back(without_effect(draw({1})));
    if (fused) sample.composed = call(additive_attention_composed);
    record.samples.push_back(std::move(sample));
  }
  const auto error = [&](const char* label, const Shape& keys, const Shape& values, const Shape& query,
                         int64_t image, ErrorKind kind, const std::vector<std::string>& says) {
    const auto call_it = [=] {
      op(zeros(keys), zeros(values), zeros(query), ids(query[0], static_cast<double>(image)), zeros(4), {});
    };
    record.errors.push_back(refuses(label, call_it, kind, says));
  };
  const ErrorKind shape = ErrorKind::shape;
  error("values of other places", {2, 3, 4}, {2, 5, 6}, {3, 4}, 0, shape, {"(2, 3, 4)", "(2, 5, 6)"});
  error("queries of another size", {2, 3, 4}, {2, 3, 6}, {3, 5}, 0, shape, {"(2, 3, 4)", "(3, 5)"});
  error("no places", {2, 0, 4}, {2, 0, 6}, {3, 4}, 0, shape, {name, "(2, 0, 4)"});
  error("an image that is not there", {2, 3, 4}, {2, 3, 6}, {3, 4}, 2, ErrorKind::index, {"2"});
  return record;
}

}  // namespace

std::vector<OpRecord> attention_ops() {
  return {attention_op("additive_attention", additive_attention, true),
          attention_op("additive_attention_composed", additive_attention_composed, false)};
}

}  // namespace autograd::testing
