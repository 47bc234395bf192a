// EfficientNet-Lite2 written down once more from the papers' tables (Tan and Le 2019; Google's
// efficientnet-lite2: width 1.1, depth 1.2, ReLU6, no squeeze-and-excitation), as a plain list of ops.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "imgcap/models/encoder.h"
#include "tests/golden.h"
#include "tests/made.h"
#include "tests/models/fill.h"
#include "tests/tensor/reference.h"

using namespace imgcap;
using tensor::DType;
using tests::made;
using tests::relative_error;

namespace {

constexpr double kEpsilon = 1e-3;  // TensorFlow's for these networks

class Written {
 public:
  explicit Written(const nn::StateDict& state) : state_(state) {}

  Variable features(Variable x) const {
    x = autograd::relu6(norm("_bn0", conv("_conv_stem", x, 2, false)));
    struct Row {
      int64_t expansion, stride, channels;
      int repeats;
    };
    int block = 0;
    int64_t in = 32;
    for (const Row& row : std::vector<Row>{{1, 1, 16, 1},
                                           {6, 2, 24, 3},
                                           {6, 2, 48, 3},
                                           {6, 2, 88, 4},
                                           {6, 1, 120, 4},
                                           {6, 2, 208, 5},
                                           {6, 1, 352, 1}})
      for (int i = 0; i < row.repeats; ++i, ++block, in = row.channels) {
        const std::string name = "_blocks." + std::to_string(block) + ".";
        const int64_t stride = i == 0 ? row.stride : 1;
        Variable y = x;
        if (row.expansion != 1)
          y = autograd::relu6(norm(name + "_bn0", conv(name + "_expand_conv", y, 1, false)));
        y = autograd::relu6(norm(name + "_bn1", conv(name + "_depthwise_conv", y, stride, true)));
        y = norm(name + "_bn2", conv(name + "_project_conv", y, 1, false));
        CHECK(y.size(1) == row.channels);
        x = stride == 1 && in == row.channels ? y + x : y;
      }
    CHECK(block == 21);
    return autograd::relu6(norm("_bn1", conv("_conv_head", x, 1, false)));
  }

  // TensorFlow's "same" padding, the larger half below and to the right.
  Variable conv(const std::string& name, const Variable& x, int64_t stride, bool depthwise) const {
    const Tensor& w = state_.at(name + ".weight");
    const auto pad = [&](int64_t size, int64_t kernel) {
      return std::max<int64_t>(((size + stride - 1) / stride - 1) * stride + kernel - size, 0);
    };
    tensor::Conv2dOptions options;
    options.stride_h = options.stride_w = stride;
    const int64_t rows = pad(x.size(2), w.size(2)), columns = pad(x.size(3), w.size(3));
    options.pad_top = rows / 2, options.pad_bottom = rows - rows / 2;
    options.pad_left = columns / 2, options.pad_right = columns - columns / 2;
    options.groups = depthwise ? x.size(1) : 1;
    return autograd::conv2d(x, w, {}, options);
  }

 private:
  Variable norm(const std::string& name, const Variable& x) const {
    const auto values = [&](const char* what) {
      return state_.at(name + what).to(DType::f64).to_vector<double>();
    };
    const auto gain = values(".weight"), shift = values(".bias"), mean = values(".running_mean"),
               variance = values(".running_var");
    std::vector<double> scale, offset;
    for (size_t c = 0; c < gain.size(); ++c) {
      scale.push_back(gain[c] / std::sqrt(variance[c] + kEpsilon));
      offset.push_back(shift[c] - mean[c] * scale[c]);
    }
    const Shape shape{1, x.size(1), 1, 1};
    return x * Variable(Tensor::from(scale, shape).to(DType::f32)) +
           Variable(Tensor::from(offset, shape).to(DType::f32));
  }

  const nn::StateDict& state_;
};

}  // namespace

TEST_CASE("EfficientNet-Lite2 is what its papers' tables say, frozen and as a graph") {
  const auto encoder = make_encoder("efficientnet_lite2", false);
  tests::fill(*encoder);
  // Small variances, so that what is added to them shows.
  for (const auto& [name, buffer] : encoder->named_buffers())
    if (name.ends_with("running_var")) encoder->buffer(name).copy_(autograd::affine(buffer, 0.05, 0).data());
  for (const auto& [name, parameter] : encoder->named_parameters())
    if (name.ends_with("bn0.weight") || name.ends_with("bn1.weight") || name.ends_with("bn2.weight"))
      encoder->parameter(name).mutable_data().copy_(autograd::affine(parameter.data(), 0.25, 0).data());
  encoder->eval();
  const nn::StateDict state = encoder->state_dict();
  const Tensor x = made(5, {2, 3, 61, 96}).to(DType::f32);  // odd sizes pad unevenly
  const autograd::NoGrad guard;
  const Tensor expected = Written(state).features(x).data();
  CHECK(expected.shape() == Shape{2, 1280, 2, 3});
  CHECK(relative_error(encoder->forward_features(x).data(), expected) <= 1e-5);
  encoder->freeze();
  CHECK(relative_error(encoder->features(x), expected) <= 1e-5);
}

TEST_CASE("EfficientNet-Lite2's running statistics move by a hundredth") {
  const auto encoder = make_encoder("efficientnet_lite2", false);
  tests::fill(*encoder);
  nn::StateDict state;
  for (const auto& [name, value] : encoder->state_dict()) state[name] = value.clone();
  const Tensor x = made(6, {2, 3, 32, 32}).to(DType::f32);
  const autograd::NoGrad guard;
  encoder->train();
  encoder->forward_features(x);
  const Tensor y = Written(state).conv("_conv_stem", x, 2, false).data();
  const auto values = tests::values(y), before = tests::values(state.at("_bn0.running_mean")),
             after = tests::values(encoder->buffer("_bn0.running_mean"));
  const auto places = static_cast<size_t>(y.size(2) * y.size(3));
  for (size_t c = 0; c < 32; ++c) {
    double mean = 0;
    for (size_t n = 0; n < 2; ++n)
      for (size_t p = 0; p < places; ++p)
        mean += values[(n * 32 + c) * places + p] / static_cast<double>(2 * places);
    CHECK(after[c] == doctest::Approx(0.99 * before[c] + 0.01 * mean).epsilon(1e-5));
  }
}
