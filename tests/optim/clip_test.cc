#include "optim/clip.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tests/golden.h"

using autograd::Variable;
using autograd::Variables;
using tensor::DType;
using tensor::Error;
using tensor::Tensor;

namespace {

Variables parameters(const std::map<std::string, Tensor>& golden, DType dtype) {
  Variables result;
  for (int i = 0; i < 3; ++i) {
    Variable p(golden.at("weight." + std::to_string(i)).to(dtype), true);
    p.set_grad(golden.at("gradient." + std::to_string(i)).select(0, 0).to(dtype).clone());
    result.push_back(p);
  }
  return result;
}

}  // namespace

TEST_CASE("clipping agrees with PyTorch") {
  const auto golden = tests::golden("optim");
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-6;
    for (const auto& [name, limit] : {std::pair{"clip_1", 1.0}, {"clip_0.01", 0.01}, {"clip_1000", 1000.0}}) {
      CAPTURE(name);
      const Variables p = parameters(golden, dtype);
      const double norm = optim::clip_grad_norm_(p, limit);
      CHECK(std::abs(norm / golden.at(std::string(name) + "/norm").item() - 1) <= tolerance);
      for (size_t i = 0; i < 3; ++i)
        CHECK(tests::relative_error(p[i].grad().data(), golden.at(tensor::format("{}/{}", name, i))) <=
              tolerance);
    }
    const Variables p = parameters(golden, dtype);
    optim::clip_grad_value_(p, 0.4);
    for (size_t i = 0; i < 3; ++i)
      CHECK(tests::relative_error(p[i].grad().data(), golden.at(tensor::format("clip_value/{}", i))) <=
            tolerance);
  }
}

TEST_CASE("a norm that fits changes nothing, and absent gradients count nothing") {
  const Variable p(Tensor::zeros({2}), true), unused(Tensor::zeros({2}), true);
  CHECK(optim::grad_norm({p, unused}) == 0);
  CHECK(optim::clip_grad_norm_({p, unused}, 1) == 0);
  Variable(p).set_grad(Tensor::from<float>({3, 4}, {2}));
  const uint64_t version = p.grad().data().version();
  CHECK(optim::clip_grad_norm_({p, unused}, 6) == 5);
  CHECK(p.grad().data().version() == version);
  CHECK(optim::clip_grad_norm_({p, unused}, 2.5) == 5);
  CHECK(p.grad().data().to_vector<float>()[1] == doctest::Approx(2));
  CHECK_FALSE(unused.grad().defined());
  CHECK(optim::clip_coefficient(5, 2.5) == 2.5 / (5 + 1e-6));
  CHECK(optim::clip_coefficient(1, 2.5) == 1);
  CHECK(std::isnan(optim::clip_coefficient(NAN, 2.5)));
  CHECK_THROWS_AS(optim::clip_grad_norm_({p}, -1), Error);
  CHECK_THROWS_AS(optim::clip_grad_norm_({p}, NAN), Error);
  CHECK_THROWS_AS(optim::clip_grad_value_({p}, -1), Error);
}

TEST_CASE("a norm beyond f32's range is measured in f64, and one that is not finite can be an error") {
  Variable p(Tensor::zeros({2}), true);
  p.set_grad(Tensor::from<float>({3e30f, 4e30f}, {2}));
  CHECK(optim::clip_grad_norm_({p}, 1) == doctest::Approx(5e30));
  CHECK(p.grad().data().to_vector<float>()[0] == doctest::Approx(0.6));
  p.set_grad(Tensor::from<float>({INFINITY, 1}, {2}));
  CHECK_THROWS_AS(optim::clip_grad_norm_({p}, 1, true), Error);
  CHECK(p.grad().data().to_vector<float>()[1] == 1);
  CHECK(std::isinf(optim::clip_grad_norm_({p}, 1)));
  CHECK(std::isnan(p.grad().data().to_vector<float>()[0]));  // inf * 0, as in PyTorch
  CHECK(p.grad().data().to_vector<float>()[1] == 0);
}

TEST_CASE("gradients with strides are clipped, too") {
  Variable p(Tensor::zeros({2, 2}), true);
  p.set_grad(Tensor::from<float>({2, 0, 1, 2}, {2, 2}).t());
  CHECK(optim::clip_grad_norm_({p}, 1.5) == 3);
  const auto g = p.grad().data().to_vector<float>();
  CHECK(g[0] == doctest::Approx(1));
  CHECK(g[1] == doctest::Approx(0.5));
  CHECK(g[2] == 0);
}
