// Convolution, batch norm and pooling layers.
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
        tensor::affine(x, x, 2, 3);
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
  CHECK(pool.describe().starts_with("MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)"));
  nn::AdaptiveAvgPool2d average(1, 2);
  CHECK(tests::values(average(Tensor::full({1, 1, 3, 4}, 2)).data()) == std::vector<double>{2, 2});
  CHECK(average.describe() == "AdaptiveAvgPool2d(output_size=(1, 2))");
}
