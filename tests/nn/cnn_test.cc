// Convolution, batch norm and pooling layers.
#include <array>

#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/pool.h"
#include "tests/golden.h"
#include "tests/made.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using nn::BatchNorm2d;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;
using tests::check_error;
using tests::made;
using tests::relative_error;

TEST_CASE("batch norm: a constant plane is 0, values of 1e30 are normalised") {
  BatchNorm2d flat(1, {.momentum = 1.0});
  const Variable y = flat(Variable(Tensor::full({1, 1, 256, 256}, 100.3)));
  for (const double v : tests::values(y.data())) REQUIRE(v == 0);
  CHECK(flat.running_mean().item() == static_cast<double>(100.3f));
  CHECK(flat.running_var().item() == 0);
  // (x - mean) / std of 1, 2, 3, 4; PyTorch 2.11 has 0, as its variance is infinite.
  BatchNorm2d large(1);
  const Variable x(Tensor::from(std::vector<float>{1e30f, 2e30f, 3e30f, 4e30f}, {1, 1, 2, 2}), true);
  const Variable z = large(x);
  const double expected[] = {-1.3416408, -0.4472136, 0.4472136, 1.3416408};
  for (size_t i = 0; i < 4; ++i)
    CHECK(tests::values(z.data())[i] == doctest::Approx(expected[i]).epsilon(1e-6));
}

// torch.nn.BatchNorm2d over three training steps, then evaluation: see make_cnn.py.
TEST_CASE("BatchNorm2d equals PyTorch in training, evaluation and running statistics") {
  const auto all = tests::golden("cnn");
  struct Case {
    const char* name;
    nn::BatchNormOptions options;
  };
  for (const Case& k : {Case{"bn/default", {}}, Case{"bn/average", {.momentum = std::nullopt}},
                        Case{"bn/plain", {.momentum = 0.3, .affine = false}}}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      CAPTURE(k.name);
      CAPTURE(name_of(dtype));
      // 1e-9 in 64 bits is what is asked for; sums of a few numbers are closer.
      const double bar = dtype == DType::f64 ? 1e-9 : 1e-5, close = dtype == DType::f64 ? 1e-12 : 1e-5;
      BatchNorm2d norm(3, k.options);
      norm.to(dtype);
      if (k.options.affine) {
        norm.parameter("weight").mutable_data().copy_(made(11, {3}).to(dtype));
        norm.parameter("bias").mutable_data().copy_(made(12, {3}).to(dtype));
      }
      const auto compare = [&](const std::string& step, const Variable& x) {
        norm.zero_grad();
        const std::string name = k.name + ("/" + step);
        CAPTURE(name);
        const Variable y = norm(x);
        CHECK(relative_error(y.data(), all.at(name + "/out")) <= close);
        y.backward(made(99, y.shape()).to(dtype));
        CHECK(relative_error(x.grad().data(), all.at(name + "/grad.x")) <= bar);
        if (!k.options.affine) return;
        CHECK(relative_error(norm.weight().grad().data(), all.at(name + "/grad.weight")) <= bar);
        CHECK(relative_error(norm.bias().grad().data(), all.at(name + "/grad.bias")) <= close);
      };
      for (int step = 0; step < 3; ++step) {
        Tensor x = made(static_cast<uint32_t>(step), {4, 3, 5, 2});
        tensor::kernels::affine(x, x, 2, 3);
        compare(std::to_string(step), Variable(x.to(dtype), true));
      }
      CHECK(norm.buffer("num_batches_tracked").item() == 3);
      norm.eval();
      compare("eval", Variable(made(7, {2, 3, 2, 2}).to(dtype), true));
      CHECK(relative_error(norm.running_mean(), all.at(std::string(k.name) + "/running_mean")) <= close);
      CHECK(relative_error(norm.running_var(), all.at(std::string(k.name) + "/running_var")) <= close);
      CHECK(norm.buffer("num_batches_tracked").item() == 3);
    }
  }
}

TEST_CASE("BatchNorm2d: state names, printing, frozen statistics, errors") {
  BatchNorm2d norm(2);
  std::vector<std::string> names;
  for (const auto& [name, t] : norm.state_dict()) names.push_back(name);
  CHECK(names ==
        std::vector<std::string>{"bias", "num_batches_tracked", "running_mean", "running_var", "weight"});
  CHECK(norm.describe() == "BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)");
  norm.freeze();
  norm.train();
  norm(Tensor::full({2, 2, 2, 2}, 5));
  CHECK(norm.running_mean().to_vector<float>() == std::vector<float>{0, 0});
  BatchNorm2d untracked(2, {.track_running_stats = false});
  untracked.eval();
  CHECK(untracked.named_buffers().empty());
  const Variable y = untracked(made(1, {8, 2}).to(DType::f32));
  CHECK(std::abs(tests::values(y.data())[0]) < 10);
  check_error(ErrorKind::shape, {"BatchNorm2d: ", "(1, 3, 2, 2)"}, [&] {
    norm(Tensor::zeros({1, 3, 2, 2}));
  });
  check_error(ErrorKind::argument, {"BatchNorm2d: 0 channels"}, [] { BatchNorm2d bad(0); });
}

TEST_CASE("BatchNorm2d: running statistics by hand, and what is normalised by which") {
  // Two channels, means 3 and 10, biased variances 5 and 0, unbiased 20 / 3 and 0.
  const Tensor x = Tensor::from<double>({0, 10, 2, 10, 4, 10, 6, 10}, {4, 2});
  const std::vector<double> normal = {-3 / std::sqrt(5 + 0.25), 0, -1 / std::sqrt(5 + 0.25), 0,
                                      1 / std::sqrt(5 + 0.25),  0, 3 / std::sqrt(5 + 0.25),  0};
  const auto close = [](const Tensor& a, const std::vector<double>& b) {
    CHECK(tests::worst_relative(tests::values(a), b, 1e-3) <= 1e-12);
  };
  BatchNorm2d norm(2, {.eps = 0.25, .momentum = 0.5});
  norm.to(DType::f64);
  CHECK(norm.eps() == 0.25);
  close(norm(x).data(), normal);
  close(norm.running_mean(), {1.5, 5});
  close(norm.running_var(), {0.5 + 10.0 / 3, 0.5});
  norm(x);
  close(norm.running_mean(), {2.25, 7.5});
  close(norm.running_var(), {0.25 + 5.0 / 3 + 10.0 / 3, 0.25});
  CHECK(norm.buffer("num_batches_tracked").item() == 2);
  // Evaluation uses them and leaves them alone; weight and bias come last.
  norm.parameter("weight").mutable_data().copy_(Tensor::from<double>({2, 3}, {2}));
  norm.parameter("bias").mutable_data().copy_(Tensor::from<double>({1, -1}, {2}));
  norm.eval();
  const double a = 2 / std::sqrt(5.25 + 0.25), b = 3 / std::sqrt(0.25 + 0.25);
  close(norm(x).data(), {1 - 2.25 * a, 2.5 * b - 1, 1 - 0.25 * a, 2.5 * b - 1, 1 + 1.75 * a, 2.5 * b - 1,
                         1 + 3.75 * a, 2.5 * b - 1});
  close(norm.running_mean(), {2.25, 7.5});
  CHECK(norm.buffer("num_batches_tracked").item() == 2);
  // Without running statistics the batch's own serve in both modes; without affine there are no parameters.
  BatchNorm2d untracked(2, {.eps = 0.25, .affine = false, .track_running_stats = false});
  CHECK(untracked.named_parameters().empty());
  for (const bool training : {true, false}) {
    untracked.train(training);
    close(untracked(x).data(), normal);
  }
  // The average over all batches, the first one whole.
  BatchNorm2d average(1, {.momentum = std::nullopt});
  average.to(DType::f64);
  for (const double shift : {0.0, 3.0, 9.0}) average(Tensor::from<double>({shift - 1, shift + 1}, {2, 1}));
  close(average.running_mean(), {4});
  close(average.running_var(), {2});
}

TEST_CASE("BatchNorm2d: one value per channel cannot be trained on") {
  BatchNorm2d norm(2);
  for (const tensor::Shape& shape : {tensor::Shape{1, 2}, tensor::Shape{1, 2, 1, 1}}) {
    check_error(ErrorKind::shape, {"BatchNorm2d", to_string(shape), "one value"},
                [&] { norm(Tensor::zeros(shape)); });
    CHECK(norm.buffer("num_batches_tracked").item() == 0);
    CHECK(norm.running_var().to_vector<float>() == std::vector<float>{1, 1});
  }
  norm.eval();
  CHECK(norm(Tensor::zeros({1, 2})).shape() == tensor::Shape{1, 2});
}

TEST_CASE("BatchNorm2d: settings that make no sense, and its printing") {
  check_error(ErrorKind::argument, {"eps 0 must be positive"}, [] { BatchNorm2d bad(1, {.eps = 0}); });
  check_error(ErrorKind::argument, {"-1 channels"}, [] { BatchNorm2d bad(-1); });
  BatchNorm2d norm(3);
  check_error(ErrorKind::shape, {"(3)", "(n, 3, ...)"}, [&] { norm(Tensor::zeros({3})); });
  CHECK(BatchNorm2d(3, {.eps = 0.5, .momentum = std::nullopt, .affine = false, .track_running_stats = false})
            .describe() == "BatchNorm2d(3, eps=0.5, momentum=None, affine=False, track_running_stats=False)");
}

TEST_CASE("Conv2d: kernels that are not square, settings of one call, and asymmetric padding") {
  nn::Conv2d wide(2, 3, 2, 5, {}, false, tensor::default_generator());
  CHECK(wide.weight().shape() == tensor::Shape{3, 2, 2, 5});
  CHECK(wide.describe() == "Conv2d(2, 3, kernel_size=(2, 5), stride=(1, 1), bias=False)");
  CHECK(wide(Tensor::zeros({1, 2, 4, 9})).shape() == tensor::Shape{1, 3, 3, 5});
  const nn::Conv2dOptions uneven{
      .stride_h = 2, .stride_w = 1, .pad_top = 0, .pad_bottom = 1, .pad_left = 2, .pad_right = 3};
  CHECK(wide.forward(Tensor::zeros({1, 2, 4, 9}), uneven).shape() == tensor::Shape{1, 3, 2, 10});
  nn::Conv2d other(2, 3, 2, 5, uneven, false, tensor::default_generator());
  CHECK(other.describe() ==
        "Conv2d(2, 3, kernel_size=(2, 5), stride=(2, 1), padding=(top 0, bottom 1, left 2, right 3), "
        "bias=False)");
  const nn::Conv2dOptions options = nn::conv2d_options(3, 1, 2);
  CHECK(options.stride_h == 3);
  CHECK(options.stride_w == 3);
  CHECK(options.pad_top == 1);
  CHECK(options.pad_bottom == 1);
  CHECK(options.pad_left == 1);
  CHECK(options.pad_right == 1);
  CHECK(options.dilation_h == 2);
  CHECK(options.dilation_w == 2);
  CHECK(options.groups == 1);
  CHECK(nn::Conv2d(2, 3, 3, options).describe() ==
        "Conv2d(2, 3, kernel_size=(3, 3), stride=(3, 3), padding=(1, 1), dilation=(2, 2))");
  for (const auto& [pads, text] :
       {std::pair{nn::Conv2dOptions{.pad_left = 1, .pad_right = 1}, "padding=(0, 1)"},
        std::pair{nn::Conv2dOptions{.pad_top = 1, .pad_bottom = 1}, "padding=(1, 0)"},
        std::pair{nn::Conv2dOptions{.dilation_w = 2}, "dilation=(1, 2)"},
        std::pair{nn::Conv2dOptions{.dilation_h = 2}, "dilation=(2, 1)"},
        std::pair{nn::Conv2dOptions{.pad_left = 1}, "left 1, right 0)"},
        std::pair{nn::Conv2dOptions{.pad_bottom = 1}, "(top 0, bottom 1,"}})
    CHECK_MESSAGE(nn::Conv2d(1, 1, 3, pads).describe().find(text) != std::string::npos, std::string(text));
  for (const auto& [in, out, kh, kw] :
       {std::array{0, 4, 1, 1}, std::array{4, 0, 1, 1}, std::array{4, 4, 0, 1}, std::array{4, 4, 1, 0}})
    check_error(ErrorKind::argument, {"Conv2d", "positive"},
                [&] { nn::Conv2d bad(in, out, kh, kw, {}, true, tensor::default_generator()); });
  check_error(ErrorKind::argument, {"Conv2d", "positive"}, [] { nn::Conv2d bad(4, 4, 1, {.groups = 0}); });
  check_error(ErrorKind::argument, {"4 -> 6", "4 groups"}, [] { nn::Conv2d bad(4, 6, 1, {.groups = 4}); });
  check_error(ErrorKind::argument, {"6 -> 4", "4 groups"}, [] { nn::Conv2d bad(6, 4, 1, {.groups = 4}); });
}

TEST_CASE("Conv2d: the bias is drawn from the weight's range and is added to each channel") {
  tensor::Generator generator(3);
  nn::Conv2d conv(4, 500, 1, {}, true, generator);
  double most = 0, least = 0;
  for (const double v : tests::values(conv.bias().data()))
    most = std::max(most, v), least = std::min(least, v);
  CHECK((most > 0.49 && most <= 0.5));  // 1 / sqrt(4)
  CHECK((least < -0.49 && least >= -0.5));
  CHECK(tests::values(conv(Tensor::zeros({1, 4, 1, 1})).data()) == tests::values(conv.bias().data()));
}

TEST_CASE("Conv2d: one with another first weight draws that alone and has no bias") {
  tensor::Generator generator(3), same(3);
  nn::Conv2d conv(4, 6, 3, nn::conv2d_options(2, 1, 1, 2), nn::init::kaiming_normal_fan_out, generator);
  Tensor weight = Tensor::empty({6, 2, 3, 3});
  nn::init::kaiming_normal_fan_out(weight, same);
  CHECK(generator.offset() == same.offset());
  CHECK(tests::values(conv.weight().data()) == tests::values(weight));
  CHECK(conv.weight().shape() == tensor::Shape{6, 2, 3, 3});
  CHECK(conv.weight().requires_grad());
  CHECK(!conv.bias().defined());
  CHECK(conv.options().stride_h == 2);
  conv.weight().mutable_data().fill_(1);
  CHECK(tests::values(conv(Tensor::full({1, 4, 1, 1}, 3)).data()) ==
        std::vector<double>(6, 6));  // two inputs each
}

TEST_CASE("Conv2d: a lambda is a rule for the first weight, not a bias") {
  nn::Conv2d conv(1, 2, 1, {}, [](Tensor& weight, tensor::Generator&) { weight.fill_(7); });
  CHECK(tests::values(conv.weight().data()) == std::vector<double>{7, 7});
  CHECK(!conv.bias().defined());
  check_error(ErrorKind::argument, {"Conv2d", "initialise"}, [] { nn::Conv2d bad(1, 2, 1, {}, nullptr); });
  // What is neither a rule nor a bool is refused.
  const auto other = [](Tensor&) {};
  using nn::Conv2d;
  static_assert(std::is_constructible_v<Conv2d, int, int, int, nn::Conv2dOptions, bool>);
  static_assert(!std::is_constructible_v<Conv2d, int, int, int, nn::Conv2dOptions, decltype(other)>);
  static_assert(
      !std::is_constructible_v<Conv2d, int, int, int, nn::Conv2dOptions, decltype(nn::init::uniform)>);
  static_assert(!std::is_constructible_v<Conv2d, int, int, int, nn::Conv2dOptions, const char*>);
}

TEST_CASE("Conv2d: parameters, initial values, printing, errors") {
  tensor::Generator generator(3);
  nn::Conv2d conv(8, 16, 3, nn::conv2d_options(2, 1, 1, 4), true, generator);
  CHECK(to_string(conv.weight().shape()) == "(16, 2, 3, 3)");
  CHECK(conv.parameter_count() == 16 * 2 * 9 + 16);
  CHECK(conv.describe() == "Conv2d(8, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=4)");
  double most = 0;
  for (const double v : tests::values(conv.weight().data())) most = std::max(most, std::abs(v));
  const double bound = 1 / std::sqrt(18.0);  // U(-1 / sqrt(fan in), ...)
  CHECK(most <= bound);
  CHECK(most > 0.97 * bound);
  CHECK(to_string(conv(Tensor::zeros({2, 8, 7, 6})).shape()) == "(2, 16, 4, 3)");
  nn::Conv2d plain(3, 4, 1, {}, false);
  CHECK(plain.named_parameters().size() == 1);
  CHECK(plain.describe() == "Conv2d(3, 4, kernel_size=(1, 1), stride=(1, 1), bias=False)");
  check_error(ErrorKind::argument, {"3 -> 4", "2 groups"},
              [] { nn::Conv2d bad(3, 4, 1, nn::conv2d_options(1, 0, 1, 2)); });
  check_error(ErrorKind::argument, {"0 -> 4"}, [] { nn::Conv2d bad(0, 4, 1); });
}

TEST_CASE("pooling layers") {
  nn::MaxPool2d pool(3, 2, 1);
  CHECK(to_string(pool(Tensor::zeros({1, 2, 7, 8})).shape()) == "(1, 2, 4, 4)");
  CHECK(pool.describe() ==
        "MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1), ceil_mode=False)");
  nn::MaxPool2d uneven(nn::Pool2dOptions{.kernel_h = 1,
                                         .kernel_w = 2,
                                         .stride_h = 3,
                                         .stride_w = 4,
                                         .pad_h = 0,
                                         .pad_w = 1,
                                         .dilation_h = 5,
                                         .dilation_w = 6,
                                         .ceil_mode = true});
  CHECK(uneven.describe() ==
        "MaxPool2d(kernel_size=(1, 2), stride=(3, 4), padding=(0, 1), dilation=(5, 6), ceil_mode=True)");
  CHECK(uneven.options().stride_w == 4);
  CHECK(tests::values(nn::MaxPool2d(2, 1)(Tensor::from<double>({1, 5, 2, 4, 3, 0}, {1, 1, 2, 3})).data()) ==
        std::vector<double>{5, 5});
  nn::AdaptiveAvgPool2d average(1, 2);
  CHECK(tests::values(average(Tensor::full({1, 1, 3, 4}, 2)).data()) == std::vector<double>{2, 2});
  CHECK(average.describe() == "AdaptiveAvgPool2d(output_size=(1, 2))");
}
