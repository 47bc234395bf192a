#include "autograd/testing/op_database/recurrent.h"

namespace autograd::testing {
namespace {

using Cell = LstmState (*)(const Variable&, const LstmState&, const Variable&, const Variable&,
                           const Variable&, const Variable&);

constexpr Tolerance kTolerance = {
    .f32 = 5e-6,
    .f64 = 1e-12,
    .reason = "products, and the float kernel's own exponential and tanh, within 3e-7 each",
    .roundings = 5};  // of the gates and the state, and in the composed form of each product

// inputs: x, h, c, weight_ih, weight_hh and, where there are any, the biases
std::vector<SampleInput> inputs_of(const Shape& x, int64_t hidden, bool biases, uint64_t seed) {
  Draws draw(seed);
  const int64_t n = x[x.rank() - 2], in = x.back();
  std::vector<SampleInput> inputs = {floating(draw(x)), floating(draw({n, hidden})),
                                     floating(draw({n, hidden})), floating(draw({4 * hidden, in}, -0.7, 0.7)),
                                     floating(draw({4 * hidden, hidden}, -0.7, 0.7))};
  for (int k = 0; biases && k < 2; ++k) inputs.push_back(floating(draw({4 * hidden}, -0.5, 0.5)));
  return inputs;
}

// x (t, n, in): the outputs of all steps and the last state.
std::vector<Array> reference(const Array& x, const std::vector<Array>& in) {
  const LstmArrays weights{&in[3], &in[4], in.size() > 5 ? &in[5] : nullptr,
                           in.size() > 6 ? &in[6] : nullptr};
  const int64_t steps = x.size(0), rows = x.size(1), hidden = in[1].size(1);
  Array outputs(Shape{steps, rows, hidden}), h = in[1], c = in[2];
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<double> hi = row_of(h, i), ci = row_of(c, i);
    for (int64_t s = 0; s < steps; ++s) {
      lstm_row(weights, row_of(x, s * rows + i), hi, ci);
      for (int64_t k = 0; k < hidden; ++k) outputs({s, i, k}) = hi[static_cast<size_t>(k)];
    }
    for (int64_t k = 0; k < hidden; ++k)
      h({i, k}) = hi[static_cast<size_t>(k)], c({i, k}) = ci[static_cast<size_t>(k)];
  }
  return {outputs, h, c};
}

LstmState step(Cell op, const Variable& x, const LstmState& state, const Variables& in) {
  return op(x, state, in[3], in[4], optional_input(in, 5), optional_input(in, 6));
}

OpFunction call(Cell op) {
  return [op](const Variables& in) {
    const LstmState s = step(op, in[0], {in[1], in[2]}, in);
    return Variables{s.h, s.c};
  };
}

OpRecord cell_op(const char* name, Cell op, bool fused) {
  OpRecord record{.name = name,
                  .derivatives = fused ? OpRecord::Derivatives::once : OpRecord::Derivatives::twice,
                  .fused = fused,
                  .tolerance = kTolerance};
  uint64_t seed = 1200;
  for (const auto& [n, size, hidden, biases] :
       std::vector<std::tuple<int64_t, int64_t, int64_t, bool>>{{2, 3, 2, true},
                                                                {2, 3, 2, false},
                                                                {1, 1, 1, true},
                                                                {0, 3, 2, true},
                                                                {24, 96, 64, true},
                                                                {0, 3, 2, false},
                                                                {2, 0, 2, true},
                                                                {2, 0, 2, false},
                                                                {2, 3, 0, true}}) {
    Sample sample{
        .label = tensor::format("{} rows, {} to {}{}", n, size, hidden, biases ? "" : ", no biases"),
        .inputs = inputs_of({n, size}, hidden, biases, seed),
        .op = call(op),
        .reference = [](const std::vector<Array>& in) {
          const std::vector<Array> all = reference({{1, in[0].size(0), in[0].size(1)}, in[0].values}, in);
          return std::vector<Array>{all[1], all[2]};
        }};
    if (fused) sample.composed = call(lstm_cell_composed);
    seed += 7;
    record.samples.push_back(std::move(sample));
  }
  const auto error = [&](const char* label, int64_t hidden, int64_t in,
                         const std::vector<std::string>& says) {
    const auto call_it = [=] {
      op(zeros(2, 3), {zeros(2, hidden), zeros(2, 4)}, zeros(16, in), zeros(16, 4), {}, {});
    };
    record.errors.push_back(refuses(label, call_it, ErrorKind::shape, says));
  };
  error("another state", 5, 3, {"lstm_cell", "(2, 5)", "(2, 4)"});
  error("another input size", 4, 5, {"lstm_cell", "(16, 5)", "3"});
  return record;
}

OpRecord sequence_op() {
  OpRecord record{.name = "lstm_sequence",
                  .derivatives = OpRecord::Derivatives::once,
                  .fused = true,
                  .tolerance = kTolerance};
  uint64_t seed = 1300;
  for (const auto& [t, n, size, hidden, biases] :
       std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t, bool>>{{3, 2, 3, 2, true},
                                                                         {1, 2, 3, 2, true},
                                                                         {3, 2, 2, 2, false},
                                                                         {2, 1, 1, 1, true},
                                                                         {8, 8, 48, 32, true},
                                                                         {3, 0, 3, 2, true},
                                                                         {3, 2, 0, 2, true},
                                                                         {3, 2, 3, 0, false}}) {
    record.samples.push_back({.label = tensor::format("{} steps of {} rows, {} to {}{}", t, n, size, hidden,
                                                      biases ? "" : ", no biases"),
                              .inputs = inputs_of({t, n, size}, hidden, biases, seed),
                              .op =
                                  [](const Variables& in) {
                                    const LstmSequence s =
                                        lstm_sequence(in[0], {in[1], in[2]}, in[3], in[4],
                                                      optional_input(in, 5), optional_input(in, 6));
                                    return Variables{s.outputs, s.last.h, s.last.c};
                                  },
                              .reference = [](const std::vector<Array>& in) { return reference(in[0], in); },
                              .composed =
                                  [](const Variables& in) {
                                    LstmState s{in[1], in[2]};
                                    Variables outputs;
                                    for (int64_t k = 0; k < in[0].size(0); ++k) {
                                      s = step(lstm_cell_composed, select(in[0], 0, k), s, in);
                                      outputs.push_back(s.h);
                                    }
                                    return Variables{stack(outputs, 0), s.h, s.c};
                                  }});
    seed += 7;
  }
  const auto error = [&](const char* label, int64_t steps, int64_t rows,
                         const std::vector<std::string>& says) {
    const auto call_it = [=] {
      lstm_sequence(zeros(steps, 2, 3), {zeros(rows, 4), zeros(2, 4)}, zeros(16, 3), zeros(16, 4), {}, {});
    };
    record.errors.push_back(refuses(label, call_it, ErrorKind::shape, says));
  };
  error("no steps", 0, 2, {"lstm_sequence", "(0, 2, 3)"});
  error("another state", 2, 3, {"lstm_sequence", "(3, 4)", "(2, 4)"});
  return record;
}

}  // namespace

std::vector<OpRecord> lstm_ops() {
  return {cell_op("lstm_cell", lstm_cell, true), cell_op("lstm_cell_composed", lstm_cell_composed, false),
          sequence_op()};
}

}  // namespace autograd::testing
