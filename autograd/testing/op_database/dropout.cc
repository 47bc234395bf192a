#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

constexpr uint64_t kSeed = 7;

// Element i is kept when number i of the stream is at least p: word i % 4 of Philox's block i / 4.
Array reference(const Array& x, double p) {
  Array out(x.shape);
  for (size_t i = 0; i < out.values.size(); ++i) {
    const double u = static_cast<double>(tensor::philox(kSeed, i / 4)[i % 4] >> 8) / 16777216.0;
    out.values[i] = u >= p ? x.values[i] / (1 - p) : 0;
  }
  return out;
}

}  // namespace

std::vector<OpRecord> dropout_ops() {
  OpRecord record{.name = "dropout"};
  Draws draw(1100);
  for (const auto& [shape, p, train] : std::vector<std::tuple<Shape, double, bool>>{{{3, 5}, 0.4, true},
                                                                                    {{3, 5}, 0, true},
                                                                                    {{3, 5}, 0.4, false},
                                                                                    {{1}, 0.5, true},
                                                                                    {{0, 2}, 0.5, true},
                                                                                    {{}, 0.5, true},
                                                                                    {{64, 300}, 0.3, true},
                                                                                    {{2, 0, 3}, 0.5, true},
                                                                                    {{3, 0}, 0.5, false}})
    record.samples.push_back(
        {.label = tensor::format("{}, p {}{}", text(shape), p, train ? "" : ", evaluating"),
         .inputs = {floating(draw(shape))},
         .op = one([p = p, train = train](const Variables& in) {
           tensor::Generator generator(kSeed);
           return dropout(in[0], p, train, generator);
         }),
         .reference = one_array([p = p, train = train](const std::vector<Array>& in) {
           return train && p > 0 ? reference(in[0], p) : in[0];
         })});
  record.errors = {refuses("a probability over 1", [] { dropout(zeros(2), 1.5, true); }, ErrorKind::argument,
                           {"dropout", "1.5"})};
  return {record};
}

}  // namespace autograd::testing
