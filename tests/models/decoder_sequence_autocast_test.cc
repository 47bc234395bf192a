// The decoder's one node under autocast.
#include <doctest/doctest.h>

#include <optional>

#include "autograd/autocast.h"
#include "autograd/engine.h"
#include "autograd/ops.h"
#include "imgcap/models/decoder_sequence/decoder_sequence.h"
#include "tests/golden.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using imgcap::decoder_sequence, imgcap::decoder_sequence_composed;
using imgcap::DecoderInputs, imgcap::DecoderOutputs, imgcap::DecoderWeights;
using tests::random;

namespace {

struct Decoder {
  int64_t v = 7, e = 6, h = 8, a = 5, d = 9, n = 3, p = 4;
  Variables in;
  Decoder() {
    const std::vector<Shape> shapes = {
        {v, e},    {a, h},         {a},        {1},     {d, h},  {d},        {2, p, a},  {2, p, d}, {2, n, h},
        {2, n, h}, {4 * h, e + d}, {4 * h, h}, {4 * h}, {4 * h}, {4 * h, h}, {4 * h, h}, {4 * h},   {4 * h}};
    for (size_t i = 0; i < shapes.size(); ++i)
      in.emplace_back(random(shapes[i], DType::f32, i + 1, -0.5, 0.5), true);
  }
  DecoderOutputs run(bool composed) const {
    DecoderWeights w;
    w.embedding = in[0], w.query_weight = in[1], w.score_weight = in[2], w.score_bias = in[3];
    w.gate_weight = in[4], w.gate_bias = in[5];
    w.layers = {{in[10], in[11], in[12], in[13]}, {in[14], in[15], in[16], in[17]}};
    w.output_weight = random({v, h}, DType::f32, 30);
    DecoderInputs inputs;
    inputs.keys = in[6], inputs.values = in[7], inputs.h0 = in[8], inputs.c0 = in[9];
    inputs.image = Tensor::from(std::vector<int64_t>{0, 1, 1}, {3});
    inputs.words = Tensor::from(std::vector<int64_t>{2, 4, 5, 2, 6, 1, 2, 0, 0}, {3, 3});
    inputs.rows = {3, 2, 1};
    inputs.teacher = {true, true, true};
    return composed ? decoder_sequence_composed(w, inputs) : decoder_sequence(w, inputs);
  }
  // The gradients of all inputs, and the loss.
  std::vector<Tensor> gradients(std::optional<DType> dtype, bool composed) const {
    DecoderOutputs out;
    {
      std::optional<AutocastGuard> guard;
      if (dtype) guard.emplace(*dtype);
      out = run(composed);
    }
    CHECK(out.hidden.dtype() == DType::f32);
    CHECK(out.alpha.dtype() == DType::f32);
    backward({sum(square(out.hidden)) + sum(square(out.alpha))}, {});
    std::vector<Tensor> all = {out.hidden.data(), out.alpha.data()};
    for (size_t i = 0; i < in.size(); ++i) {
      const Variable& x = in[i];
      CAPTURE(i);
      REQUIRE(x.grad().defined());
      all.push_back(x.grad().data().clone());
      Variable(x).zero_grad();
    }
    return all;
  }
};

}  // namespace

TEST_CASE("the decoder sequence under autocast: near f32 and near its composed version") {
  const Decoder decoder;
  const std::vector<Tensor> exact = decoder.gradients({}, false);
  // An operand is off by at most half a unit in its last place: 2^-11 (f16) and 2^-8 (bf16), and a value has
  // gone through some ten roundings.
  for (const auto& [dtype, bound] :
       {std::pair(DType::f16, 10 * 0x1p-11), std::pair(DType::bf16, 10 * 0x1p-8)}) {
    const std::vector<Tensor> fused = decoder.gradients(dtype, false),
                              composed = decoder.gradients(dtype, true);
    double difference = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      if (i == 5) continue;  // the score bias: a softmax does not see it, its gradient is rounding alone
      CAPTURE(i);
      CHECK(tests::relative_error(fused[i], exact[i]) < bound);
      CHECK(tests::relative_error(composed[i], exact[i]) < bound);
      difference = std::max(difference, tests::relative_error(fused[i], exact[i]));
    }
    CHECK(difference > bound / 1000);  // it did round
  }
}
