#include <doctest/doctest.h>

#include "tensor/nhwc.h"
#include "tests/tensor/reference.h"

using namespace tensor;

TEST_CASE("a convolution's weights are laid out from 16 bits as from the same numbers in 32") {
  for (const auto& [shape, groups] : {std::pair<Shape, int64_t>{{70, 33, 1, 1}, 1},
                                      {{32, 5, 3, 3}, 1},
                                      {{7, 130, 1, 1}, 1},
                                      {{80, 1, 5, 5}, 80}}) {
    CAPTURE(to_string(shape));
    const Tensor weight = tests::random(shape, DType::f32, 1, -1, 1);
    std::vector<double> scale, bias;
    for (int64_t o = 0; o < shape[0]; ++o)
      scale.push_back(0.1 + 0.37 * static_cast<double>(o)), bias.push_back(static_cast<double>(o));
    for (const DType dtype : {DType::f16, DType::bf16, DType::f64}) {
      const PackedConv2d narrow(weight.to(dtype), scale, bias, groups),
          wide(weight.to(dtype).to(DType::f32), scale, bias, groups);
      CHECK(narrow.weight.to_vector<float>() == wide.weight.to_vector<float>());
    }
    // Each number is where the layout says (nhwc.h), and there are zeros past the last channel.
    const PackedConv2d packed(weight, scale, bias, groups);
    const Shape& s = packed.weight.shape();  // (panels, kh, kw, c, width)
    const std::vector<float> found = packed.weight.to_vector<float>(), w = weight.to_vector<float>();
    std::vector<float> expected(found.size(), 0);
    for (int64_t o = 0; o < shape[0]; ++o)
      for (int64_t c = 0; c < shape[1]; ++c)
        for (int64_t tap = 0; tap < shape[2] * shape[3]; ++tap)
          expected[static_cast<size_t>(((o / s[4] * shape[2] * shape[3] + tap) * s[3] + c) * s[4] +
                                       o % s[4])] =
              static_cast<float>(static_cast<double>(
                                     w[static_cast<size_t>((o * shape[1] + c) * shape[2] * shape[3] + tap)]) *
                                 scale[static_cast<size_t>(o)]);
    CHECK(found == expected);
  }
}
