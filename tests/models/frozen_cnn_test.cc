// Small networks as frozen plans and, step by step, as modules; and plans that follow what they were made of.
#include "imgcap/models/frozen_cnn.h"

#include <doctest/doctest.h>

#include <vector>

#include "autograd/ops.h"
#include "imgcap/models/resnet.h"
#include "tests/golden.h"
#include "tests/made.h"
#include "tests/models/fill.h"
#include "tests/tensor/reference.h"

using namespace imgcap;
using tensor::DType;
using tests::made;
using tests::relative_error;

namespace {

// A convolution and its batch norm.
struct Pair {
  nn::Conv2d conv;
  nn::BatchNorm2d norm;
  Pair(uint32_t seed, int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options,
       bool bias = false, double eps = 1e-5)
      : conv(in, out, kernel, options, bias), norm(out, {.eps = eps}) {
    conv.parameter("weight").mutable_data().copy_(made(seed, conv.weight().shape(), -0.5, 0.5));
    if (bias) conv.parameter("bias").mutable_data().copy_(made(seed + 1, {out}, -0.5, 0.5));
    norm.parameter("weight").mutable_data().copy_(made(seed + 2, {out}, 0.5, 1.5));
    norm.parameter("bias").mutable_data().copy_(made(seed + 3, {out}, -0.5, 0.5));
    norm.buffer("running_mean").copy_(made(seed + 4, {out}, -0.5, 0.5));
    norm.buffer("running_var").copy_(made(seed + 5, {out}, 0.5, 1.5));
    norm.eval();
  }
  Variable operator()(const Variable& x) { return norm(conv(x)); }
};

// Two by hand, in double.
std::vector<double> plain_pair(const Tensor& x, Pair& pair, int64_t pad) {
  const Tensor w = pair.conv.weight().data().to(DType::f64);
  const auto kernel = w.to_vector<double>();
  const auto pixels = x.to(DType::f64).to_vector<double>();
  const auto value = [](const Tensor& t) { return t.to(DType::f64).to_vector<double>(); };
  const auto mean = value(pair.norm.running_mean()), variance = value(pair.norm.running_var());
  const auto gain = value(pair.norm.weight().data()), shift = value(pair.norm.bias().data());
  const auto bias =
      pair.conv.bias().defined() ? value(pair.conv.bias().data()) : std::vector<double>(mean.size());
  const int64_t in = x.size(1), h = x.size(2), width = x.size(3), out = w.size(0), k = w.size(2);
  std::vector<double> result;
  for (int64_t n = 0; n < x.size(0); ++n)
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i + k <= h + 2 * pad; ++i)
        for (int64_t j = 0; j + k <= width + 2 * pad; ++j) {
          double sum = bias[static_cast<size_t>(o)];
          for (int64_t c = 0; c < in; ++c)
            for (int64_t a = 0; a < k; ++a)
              for (int64_t b = 0; b < k; ++b) {
                const int64_t y = i + a - pad, z = j + b - pad;
                if (y < 0 || y >= h || z < 0 || z >= width) continue;
                sum += pixels[static_cast<size_t>(((n * in + c) * h + y) * width + z)] *
                       kernel[static_cast<size_t>(((o * in + c) * k + a) * k + b)];
              }
          const auto at = static_cast<size_t>(o);
          result.push_back((sum - mean[at]) / std::sqrt(variance[at] + pair.norm.eps()) * gain[at] +
                           shift[at]);
        }
  return result;
}

}  // namespace

TEST_CASE("a frozen step is convolution, bias and batch norm, worked out in a plain loop") {
  for (const bool bias : {false, true}) {
    Pair pair(7, 3, 5, 3, nn::conv2d_options(1, 1), bias, 0.3);
    const Tensor x = made(2, {2, 3, 5, 6}).to(DType::f32);
    FrozenCnn plan;
    CHECK(plan.conv(FrozenCnn::kInput, pair.conv, pair.norm, Activation::none) == 1);
    const Tensor y = plan.run(x);
    CHECK(relative_error(y, Tensor::from(plain_pair(x, pair, 1), {2, 5, 5, 6})) <= 1e-6);
    CHECK(relative_error(pair(x).data(), y) <= 1e-6);
  }
}

TEST_CASE("activations, residuals, strides, groups, both paddings and pools, against the modules") {
  Pair first(10, 3, 8, 3, nn::conv2d_options(2, 1)), deep(20, 8, 8, 5, nn::conv2d_options(1, 2, 1, 8)),
      same(30, 8, 8, 3, nn::conv2d_options(2, 0, 1, 8)), last(40, 8, 6, 1, {}, true);
  const tensor::Pool2dOptions pool = nn::MaxPool2d(3, 2, 1).options();
  FrozenCnn plan;
  const int a = plan.conv(FrozenCnn::kInput, first.conv, first.norm, Activation::relu);
  const int b = plan.conv(a, deep.conv, deep.norm, Activation::relu6, a);
  const int c = plan.max_pool(b, pool);
  const int d = plan.conv(c, same.conv, same.norm, Activation::none, -1, FrozenCnn::Padding::same);
  plan.conv(d, last.conv, last.norm, Activation::relu);
  for (const auto& [h, w] : {std::pair<int64_t, int64_t>{17, 22}, {16, 16}, {9, 31}}) {
    for (const int64_t n : {0, 1, 8, 9, 17}) {  // eight pictures are one chunk
      CAPTURE(n);
      // Large values, so that relu6 has something to cut.
      const Tensor x = made(3, {n, 3, h, w}, -12, 12).to(DType::f32);
      const Variable va = autograd::relu(first(x));
      const Variable vb = autograd::relu6(deep(va) + va);
      const Variable vc = autograd::max_pool2d(vb, pool);
      const Variable vd =
          same.norm(same.conv.forward(vc, same_padding(same.conv.options(), 3, 3, vc.size(2), vc.size(3))));
      const Tensor expected = autograd::relu(last(vd)).data();
      const Tensor got = plan.run(x);
      REQUIRE(got.shape() == expected.shape());
      if (n > 0) CHECK(relative_error(got, expected) <= 1e-5);
      CHECK(got.permute({0, 2, 3, 1}).is_contiguous());
    }
  }
  // Any strides of the input.
  const Tensor wide = made(5, {2, 9, 12, 3}).to(DType::f32);
  CHECK(relative_error(plan.run(wide.permute({0, 3, 1, 2})),
                       plan.run(wide.permute({0, 3, 1, 2}).contiguous())) == 0);
  tests::check_error(tensor::ErrorKind::shape, {"frozen network: input", "f64"}, [&] {
    plan.run(made(1, {1, 3, 9, 9}));
  });
  tests::check_error(tensor::ErrorKind::shape, {"frozen network"}, [&] {
    plan.run(Tensor::zeros({3, 9, 9}));
  });
}

TEST_CASE("a residual that is the input is added whole, of sizes that are more than plans are kept for") {
  Pair first(10, 3, 16, 3, nn::conv2d_options(1, 1)), again(20, 16, 16, 3, nn::conv2d_options(1, 1));
  for (const DType arithmetic : {DType::f32, DType::f16, DType::bf16}) {
    FrozenCnn plan(arithmetic);
    const int a = plan.conv(FrozenCnn::kInput, first.conv, first.norm, Activation::none);
    plan.conv(a, again.conv, again.norm, Activation::none, a);
    for (int64_t size = 5; size < 25; ++size) {
      const Tensor x = made(3, {1, 3, size, 9}).to(DType::f32);
      const Variable between = first(x);
      const Tensor expected = (again(between) + between).data();
      CHECK(relative_error(plan.run(x), expected) <= (arithmetic == DType::f32   ? 1e-5
                                                      : arithmetic == DType::f16 ? 2e-3
                                                                                 : 2e-2));
    }
  }
}

TEST_CASE("same padding of kernels that are not square, with a stride and a dilation for each side") {
  Conv2dOptions options;
  options.stride_h = 2, options.stride_w = 3, options.dilation_h = 2, options.dilation_w = 1;
  options.groups = 4;
  const Conv2dOptions padded = same_padding(options, 3, 4, 10, 11);
  // Rows: 5 of them, the kernel is 5 long: (5 - 1) 2 + 5 - 10 = 3. Columns: 4, (4 - 1) 3 + 4 - 11 = 2.
  CHECK(padded.pad_top == 1);
  CHECK(padded.pad_bottom == 2);
  CHECK(padded.pad_left == 1);
  CHECK(padded.pad_right == 1);
  CHECK(padded.groups == 4);
  CHECK(padded.stride_w == 3);
}

TEST_CASE("an encoder's frozen plan follows every weight and every statistic that changes") {
  ResNet model(18, 10);
  tests::fill(model);
  model.freeze();
  const Tensor x = made(5, {1, 3, 32, 32}).to(DType::f32);
  const auto as_graph = [&] {
    const autograd::NoGrad guard;
    return model.forward_features(x).data();
  };
  Tensor before = model.features(x);
  CHECK(relative_error(before, as_graph()) <= 1e-5);
  CHECK(tests::same_bits(model.features(x), before));
  const auto check_followed = [&](const std::string& what) {
    CAPTURE(what);
    const Tensor after = model.features(x);
    CHECK(relative_error(after, before) > 1e-4);
    CHECK(relative_error(after, as_graph()) <= 1e-5);
    before = after;
  };
  for (const char* name : {"conv1.weight", "bn1.weight", "bn1.bias", "layer2.0.downsample.0.weight",
                           "layer4.1.conv2.weight", "layer4.1.bn2.weight", "layer4.1.bn2.bias"}) {
    Tensor& values = model.parameter(name).mutable_data();
    tensor::kernels::affine(values, values.clone(), 1.25, 0.125);
    check_followed(name);
  }
  for (const char* name :
       {"bn1.running_mean", "bn1.running_var", "layer2.0.downsample.1.running_mean",
        "layer2.0.downsample.1.running_var", "layer4.1.bn2.running_mean", "layer4.1.bn2.running_var"}) {
    Tensor& values = model.buffer(name);
    tensor::kernels::affine(values, values.clone(), 1.25, 0.125);
    check_followed(name);
  }
  // Values that are loaded, and a buffer that is another tensor.
  nn::StateDict state;
  for (const auto& [name, value] : model.state_dict()) state[name] = value.clone();
  Tensor& loaded = state.at("layer3.0.bn1.running_var");
  tensor::kernels::affine(loaded, loaded.clone(), 2, 0);
  model.load_state_dict(state);
  check_followed("load_state_dict");
  Tensor& replaced = model.buffer("layer3.0.bn1.running_mean");
  Tensor other = replaced.clone();
  tensor::kernels::affine(other, replaced, -1, 0);
  replaced = other;
  check_followed("another tensor");
  // A tensor that was made when the old one was gone, so that it may lie where that was, written as often.
  for (const double shift : {0.5, 0.25, 0.75}) {
    const int64_t channels = replaced.size(0);
    replaced = Tensor();
    replaced = Tensor::from(std::vector<float>(static_cast<size_t>(channels), static_cast<float>(shift)),
                            {channels});
    check_followed("another tensor in the same place");
  }
  // Through another type and back: new memory, perhaps where the old was.
  for (int repeat = 0; repeat < 3; ++repeat) {
    model.to(DType::f64);
    Tensor& values = model.buffer("layer4.1.bn2.running_mean");
    tensor::kernels::affine(values, values.clone(), 1, 0.25);
    model.to(DType::f32);
    check_followed("to another type and back");
  }
}

TEST_CASE("an encoder that is not frozen runs in its mode, and one of 64 bits as a graph") {
  ResNet model(18, 10), twin(18, 10);
  tests::fill(model);
  tests::fill(twin);
  const Tensor x = made(5, {3, 3, 32, 32}).to(DType::f32);
  const autograd::NoGrad guard;
  model.eval();
  const Tensor still = model.features(x);
  // In training mode batch norm takes the batch's statistics, and learns.
  model.train();
  twin.train();
  const Tensor learning = model.features(x);
  CHECK(tests::same_bits(learning, twin.forward_features(x).data()));
  CHECK(relative_error(learning, still) > 0.01);
  CHECK(tests::same_bits(model.buffer("bn1.running_mean"), twin.buffer("bn1.running_mean")));

  twin.load_state_dict(model.state_dict());
  twin.freeze();
  const Tensor narrow = twin.features(x);
  twin.to(DType::f64);
  const Tensor wide = twin.features(x.to(DType::f64));
  CHECK(wide.dtype() == DType::f64);
  CHECK(relative_error(narrow, wide) <= 1e-5);
}

TEST_CASE("an encoder's frozen plan follows batch norm that learns") {
  ResNet model(18, 10);
  tests::fill(model);
  const Tensor x = made(5, {2, 3, 32, 32}).to(DType::f32);
  model.freeze();
  const Tensor before = model.features(x);
  model.unfreeze();
  model.train();
  {
    const autograd::NoGrad guard;
    model.forward_features(x);
  }
  model.eval();
  model.freeze();
  const Tensor after = model.features(x);
  CHECK(relative_error(after, before) > 1e-3);
  const autograd::NoGrad guard;
  CHECK(relative_error(after, model.forward_features(x).data()) <= 1e-5);
}
