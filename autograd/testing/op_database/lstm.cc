#include "autograd/testing/op_database/recurrent.h"
#include "tensor/format.h"

namespace autograd::testing {
namespace {

using Cell = LstmState (*)(const Variable&, const LstmState&, const Variable&, const Variable&,
                           const Variable&, const Variable&);

const Tolerance kTolerance{5e-6, 1e-12,
                           "products, and the float kernel's own exponential and tanh, within 3e-7 each"};

// inputs: x, h, c, weight_ih, weight_hh and, where there are any, the biases
std::vector<SampleInput> inputs_of(const Shape& x, int64_t n, int64_t in, int64_t hidden, bool biases,
                                   uint64_t seed) {
  std::vector<SampleInput> inputs = {floating(random_array(x, seed)),
                                     floating(random_array({n, hidden}, seed + 1)),
                                     floating(random_array({n, hidden}, seed + 2)),
                                     floating(random_array({4 * hidden, in}, seed + 3, -0.7, 0.7)),
                                     floating(random_array({4 * hidden, hidden}, seed + 4, -0.7, 0.7))};
  if (biases)
    for (uint64_t k = 5; k < 7; ++k)
      inputs.push_back(floating(random_array({4 * hidden}, seed + k, -0.5, 0.5)));
  return inputs;
}

Variable bias(const Variables& in, size_t k) { return in.size() > k ? in[k] : Variable(); }

LstmArrays weights_of(const std::vector<Array>& in) {
  return {&in[3], &in[4], in.size() > 5 ? &in[5] : nullptr, in.size() > 6 ? &in[6] : nullptr};
}

OpRecord cell(const char* name, Cell op, bool fused) {
  OpRecord record{name, "lstm", fused ? OpRecord::Derivatives::once : OpRecord::Derivatives::twice};
  record.fused = fused;
  record.tolerance = kTolerance;
  record.tolerance.roundings = 5;  // of the gates and the state, and in the composed form of each product
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
    Sample sample{tensor::format("{} rows, {} to {}{}", n, size, hidden, biases ? "" : ", no biases"),
                  inputs_of({n, size}, n, size, hidden, biases, seed),
                  [op](const Variables& in) {
                    const LstmState s = op(in[0], {in[1], in[2]}, in[3], in[4], bias(in, 5), bias(in, 6));
                    return Variables{s.h, s.c};
                  },
                  [](const std::vector<Array>& in) {
                    Array h = in[1], c = in[2];
                    for (int64_t i = 0; i < h.size(0); ++i) {
                      std::vector<double> hi = row_of(h, i), ci = row_of(c, i);
                      lstm_row(weights_of(in), row_of(in[0], i), hi, ci);
                      for (size_t k = 0; k < hi.size(); ++k)
                        h({i, static_cast<int64_t>(k)}) = hi[k], c({i, static_cast<int64_t>(k)}) = ci[k];
                    }
                    return std::vector<Array>{h, c};
                  },
                  {},
                  n * size > 1000};
    if (fused)
      sample.composed = [](const Variables& in) {
        const LstmState s = lstm_cell_composed(in[0], {in[1], in[2]}, in[3], in[4], bias(in, 5), bias(in, 6));
        return Variables{s.h, s.c};
      };
    seed += 7;
    record.samples.push_back(std::move(sample));
  }
  record.errors = {
      refuses("another state",
              [op] {
                op(zeros({2, 3}), {zeros({2, 5}), zeros({2, 4})}, zeros({16, 3}), zeros({16, 4}), {}, {});
              },
              ErrorKind::shape, {"lstm_cell", "(2, 5)", "(2, 4)"}),
      refuses("another input size",
              [op] {
                op(zeros({2, 3}), {zeros({2, 4}), zeros({2, 4})}, zeros({16, 5}), zeros({16, 4}), {}, {});
              },
              ErrorKind::shape, {"lstm_cell", "(16, 5)", "3"})};
  return record;
}

}  // namespace

void add_lstm(std::vector<OpRecord>& all) {
  all.push_back(cell("lstm_cell", lstm_cell, true));
  all.push_back(cell("lstm_cell_composed", lstm_cell_composed, false));

  OpRecord record{"lstm_sequence", "lstm", OpRecord::Derivatives::once};
  record.fused = true;
  record.tolerance = kTolerance;
  record.tolerance.roundings = 5;  // of the gates and the state, and in the composed form of each product
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
    Sample sample{
        tensor::format("{} steps of {} rows, {} to {}{}", t, n, size, hidden, biases ? "" : ", no biases"),
        inputs_of({t, n, size}, n, size, hidden, biases, seed),
        [](const Variables& in) {
          const LstmSequence s = lstm_sequence(in[0], {in[1], in[2]}, in[3], in[4], bias(in, 5), bias(in, 6));
          return Variables{s.outputs, s.last.h, s.last.c};
        },
        [](const std::vector<Array>& in) {
          const int64_t steps = in[0].size(0), rows = in[0].size(1), hidden_size = in[1].size(1);
          Array outputs(Shape{steps, rows, hidden_size}), h = in[1], c = in[2];
          for (int64_t i = 0; i < rows; ++i) {
            std::vector<double> hi = row_of(h, i), ci = row_of(c, i);
            for (int64_t s = 0; s < steps; ++s) {
              lstm_row(weights_of(in), row_of(in[0], s * rows + i), hi, ci);
              for (int64_t k = 0; k < hidden_size; ++k) outputs({s, i, k}) = hi[static_cast<size_t>(k)];
            }
            for (int64_t k = 0; k < hidden_size; ++k)
              h({i, k}) = hi[static_cast<size_t>(k)], c({i, k}) = ci[static_cast<size_t>(k)];
          }
          return std::vector<Array>{outputs, h, c};
        },
        [](const Variables& in) {
          LstmState s{in[1], in[2]};
          Variables outputs;
          for (int64_t step = 0; step < in[0].size(0); ++step) {
            s = lstm_cell_composed(select(in[0], 0, step), s, in[3], in[4], bias(in, 5), bias(in, 6));
            outputs.push_back(s.h);
          }
          return Variables{stack(outputs, 0), s.h, s.c};
        },
        t * n * size > 1000};
    seed += 7;
    record.samples.push_back(std::move(sample));
  }
  record.errors = {refuses("no steps",
                           [] {
                             lstm_sequence(zeros({0, 2, 3}), {zeros({2, 4}), zeros({2, 4})}, zeros({16, 3}),
                                           zeros({16, 4}), {}, {});
                           },
                           ErrorKind::shape, {"lstm_sequence", "(0, 2, 3)"}),
                   refuses("another state",
                           [] {
                             lstm_sequence(zeros({2, 2, 3}), {zeros({3, 4}), zeros({2, 4})}, zeros({16, 3}),
                                           zeros({16, 4}), {}, {});
                           },
                           ErrorKind::shape, {"lstm_sequence", "(3, 4)", "(2, 4)"})};
  all.push_back(std::move(record));
}

}  // namespace autograd::testing
