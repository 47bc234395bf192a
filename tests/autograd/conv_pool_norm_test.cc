// Gradients of convolution, pooling and batch norm: against differences and against PyTorch.
#include "autograd/engine.h"
#include "autograd/ops.h"
#include "autograd/testing/gradcheck.h"
#include "tensor/format.h"
#include "tests/golden.h"
#include "tests/made.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tensor::Conv2dOptions;
using tensor::Pool2dOptions;
using tests::check_error;
using tests::golden;
using tests::made;
using tests::relative_error;

namespace {

void expect_gradients(const GradcheckFunction& f, const Variables& inputs) {
  const GradcheckResult result = gradcheck(f, inputs);
  CHECK_MESSAGE(result.ok, result.message);
}

Variable trained(const Tensor& t) { return Variable(t, true); }

// Runs backward with the cotangent of make_cnn.py and compares output and gradients.
void compare(const std::map<std::string, Tensor>& all, const std::string& name, const Variable& y,
             const std::map<std::string, Variable>& inputs) {
  CAPTURE(name);
  CHECK(relative_error(y.data(), all.at(name + "/out")) <= 1e-12);
  y.backward(made(99, y.shape()));
  for (const auto& [key, x] : inputs) {
    CAPTURE(key);
    CHECK(relative_error(x.grad().data(), all.at(name + "/grad." + key)) <= 1e-11);
  }
}

}  // namespace

TEST_CASE("conv2d: gradients equal differences for all kinds of windows and layouts") {
  struct Case {
    Shape x, w;
    Conv2dOptions options;
  };
  const Case cases[] = {{{2, 3, 5, 4}, {4, 3, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
                        {{1, 4, 6, 5}, {6, 2, 2, 3}, {2, 1, 1, 0, 0, 2, 1, 2, 2}},
                        {{2, 3, 5, 5}, {3, 1, 3, 3}, {2, 2, 0, 1, 0, 1, 1, 1, 3}},
                        {{2, 4, 3, 3}, {2, 4, 1, 1}, {}},
                        {{1, 1, 1, 1}, {1, 1, 1, 1}, {}}};
  for (const Case& k : cases) {
    CAPTURE(to_string(k.w));
    const auto f = [&](const Variables& in) { return Variables{conv2d(in[0], in[1], in[2], k.options)}; };
    expect_gradients(f, {trained(made(1, k.x)), trained(made(2, k.w)), trained(made(3, {k.w[0]}))});
    // Transposed views.
    const Tensor x = made(1, {k.x[3], k.x[2], k.x[1], k.x[0]}).permute({3, 2, 1, 0});
    const Tensor w = made(2, {k.w[3], k.w[2], k.w[1], k.w[0]}).permute({3, 2, 1, 0});
    expect_gradients([&](const Variables& in) { return Variables{conv2d(in[0], in[1], {}, k.options)}; },
                     {trained(x), trained(w)});
  }
}

TEST_CASE("pools and batch norm: gradients equal differences") {
  const Tensor x = made(1, {2, 3, 5, 4});
  const Tensor view = made(1, {4, 5, 3, 2}).permute({3, 2, 1, 0});
  const Tensor single = made(4, {2, 1, 1, 1});
  for (const Tensor& input : {x, view, single}) {
    const int64_t c = input.size(1);
    const Variable v = trained(input), weight = trained(made(2, {c})), bias = trained(made(3, {c}));
    const Pool2dOptions pool =
        c == 1 ? Pool2dOptions{1, 1, 1, 1} : Pool2dOptions{3, 2, 2, 1, 1, 1, 1, 1, true};
    expect_gradients([&](const Variables& in) { return Variables{max_pool2d(in[0], pool)}; }, {v});
    expect_gradients([&](const Variables& in) { return Variables{adaptive_avg_pool2d(in[0], 3, 2)}; }, {v});
    const Tensor mean = made(5, {c}), variance = made(6, {c}, 0.5, 2);
    for (const bool train : {true, false}) {
      expect_gradients(
          [&](const Variables& in) {
            return Variables{batch_norm(in[0], in[1], in[2], mean, variance, train, 1e-2)};
          },
          {v, weight, bias});
      expect_gradients(
          [&](const Variables& in) {
            return Variables{batch_norm(in[0], {}, {}, mean, variance, train, 1e-2)};
          },
          {v});
    }
  }
  expect_gradients(
      [&](const Variables& in) { return Variables{batch_norm(in[0], in[1], {}, {}, {}, true, 1e-5)}; },
      {trained(made(1, {6, 3})), trained(made(2, {3}))});
}

// F.conv2d, F.max_pool2d and F.adaptive_avg_pool2d: see make_cnn.py for the same tables.
TEST_CASE("convolution and pooling equal PyTorch") {
  const auto all = golden("cnn");
  struct Conv {
    Shape x, w;
    Conv2dOptions options;
  };
  const Conv convs[] = {{{2, 3, 9, 8}, {4, 3, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
                        {{1, 4, 7, 9}, {6, 2, 3, 2}, {2, 1, 1, 1, 0, 0, 1, 2, 2}},
                        {{2, 6, 8, 8}, {6, 1, 5, 5}, {2, 2, 2, 2, 2, 2, 1, 1, 6}},
                        {{2, 5, 4, 6}, {7, 5, 1, 1}, {}}};
  int number = 0;
  for (const Conv& k : convs) {
    const Variable x = trained(made(1, k.x)), w = trained(made(2, k.w)), b = trained(made(3, {k.w[0]}));
    compare(all, tensor::format("conv/{}", number++), conv2d(x, w, b, k.options),
            {{"x", x}, {"weight", w}, {"bias", b}});
  }
  const std::pair<Shape, Pool2dOptions> pools[] = {{{2, 3, 9, 8}, {3, 3, 2, 2, 1, 1}},
                                                   {{1, 2, 8, 7}, {2, 2, 2, 2, 0, 0, 1, 1, true}},
                                                   {{1, 2, 9, 10}, {3, 3, 1, 1, 1, 1, 2, 2, true}},
                                                   {{1, 1, 6, 6}, {3, 3, 3, 3, 1, 1, 1, 1, true}}};
  number = 0;
  for (const auto& [shape, options] : pools) {
    const Variable x = trained(made(1, shape));
    compare(all, tensor::format("pool/{}", number++), max_pool2d(x, options), {{"x", x}});
  }
  const std::pair<Shape, Shape> averages[] = {
      {{2, 3, 7, 7}, {1, 1}}, {{1, 2, 7, 5}, {3, 2}}, {{1, 2, 3, 4}, {5, 6}}};
  number = 0;
  for (const auto& [shape, size] : averages) {
    const Variable x = trained(made(1, shape));
    compare(all, tensor::format("avg/{}", number++), adaptive_avg_pool2d(x, size[0], size[1]), {{"x", x}});
  }
}

TEST_CASE("convolution, pooling and batch norm: errors, and no second derivative") {
  const Variable x(Tensor::zeros({2, 3, 4, 4})), w(Tensor::zeros({5, 3, 3, 3}));
  check_error(ErrorKind::shape, {"conv2d: ", "(2, 3, 4, 4)", "(5, 4, 3, 3)"}, [&] {
    conv2d(x, Tensor::zeros({5, 4, 3, 3}), {}, {});
  });
  check_error(ErrorKind::dtype, {"conv2d: ", "f64"}, [&] { conv2d(x, w.data().to(DType::f64), {}, {}); });
  check_error(ErrorKind::shape, {"conv2d: bias (4)"}, [&] { conv2d(x, w, Tensor::zeros({4}), {}); });
  check_error(ErrorKind::shape, {"max_pool2d: "}, [&] { max_pool2d(x, {5, 5, 1, 1}); });
  check_error(ErrorKind::argument, {"adaptive_avg_pool2d: ", "0 x 1"}, [&] { adaptive_avg_pool2d(x, 0, 1); });
  check_error(ErrorKind::shape, {"adaptive_avg_pool2d: "}, [&] {
    adaptive_avg_pool2d(Tensor::zeros({3, 4}), 1, 1);
  });
  check_error(ErrorKind::shape, {"batch_norm: ", "more than one value"}, [&] {
    batch_norm(Tensor::zeros({1, 3}), {}, {}, {}, {}, true, 1e-5);
  });
  check_error(ErrorKind::argument, {"batch_norm: ", "running"},
              [&] { batch_norm(x, {}, {}, {}, {}, false, 1e-5); });
  check_error(ErrorKind::shape, {"batch_norm: ", "(4)"},
              [&] { batch_norm(x, Tensor::zeros({4}), {}, {}, {}, true, 1e-5); });
  const Variable t = trained(made(1, {1, 1, 4, 4}));
  for (const Variable& y : {conv2d(t, made(2, {1, 1, 3, 3}), {}, {}), max_pool2d(t, {}),
                            adaptive_avg_pool2d(t, 2, 2), batch_norm(t, {}, {}, {}, {}, true, 1e-5)})
    check_error(ErrorKind::autograd, {std::string(y.grad_fn()->name())},
                [&] { sum(square(y)).backward({}, false, true); });
}
