#include "optim/average.h"

#include <doctest/doctest.h>

#include <functional>

#include "autograd/ops.h"
#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tests/golden.h"

using autograd::Variable;
using optim::NamedParameters;
using optim::ParameterAverage;
using tensor::DType;
using tensor::Error;
using tensor::Tensor;

namespace {

NamedParameters one(float value) { return {{"p", Variable(Tensor::full({2}, value), true)}}; }

float first(const NamedParameters& p) { return p[0].second.data().to_vector<float>()[0]; }

}  // namespace

TEST_CASE("averages of parameters agree with PyTorch") {
  const auto golden = tests::golden("optim");
  for (const DType dtype : {DType::f64, DType::f32})
    for (const auto& [name, decay] :
         {std::pair<const char*, std::optional<double>>{"average_exponential", 0.9},
          {"average_equal", std::nullopt}}) {
      NamedParameters parameters;
      for (int i = 0; i < 3; ++i)
        parameters.emplace_back(std::to_string(i),
                                Variable(golden.at("weight." + std::to_string(i)).to(dtype).clone(), true));
      ParameterAverage average(parameters, {.decay = decay});
      for (int step = 0; step < 10; ++step) {
        average.update();
        for (auto& [key, p] : parameters)
          tensor::kernels::add_inplace(p.mutable_data(),
                                       golden.at("gradient." + key).select(0, step).to(dtype), 1);
      }
      const optim::UseAverage use(average);
      for (const auto& [key, p] : parameters)
        CHECK(tests::relative_error(p.data(), golden.at(std::string(name) + "/" + key)) <=
              (dtype == DType::f64 ? 1e-12 : 1e-6));
    }
}

TEST_CASE("averages are swapped in and out") {
  NamedParameters p = one(1);
  ParameterAverage average(p, {.decay = 0.75});
  CHECK_THROWS_AS(average.swap(), Error);
  average.update();
  p[0].second.mutable_data().fill_(5);
  average.update();
  CHECK(first(p) == 5);
  {
    const optim::UseAverage use(average);
    CHECK(average.swapped());
    CHECK(first(p) == 2);
    CHECK(average.state_dict().tensors.at("average.p").to_vector<float>()[0] == 2);
    CHECK_THROWS_AS(average.update(), Error);
    CHECK_THROWS_AS(average.load_state_dict(average.state_dict()), Error);
  }
  CHECK(first(p) == 5);
  CHECK(average.state_dict().tensors.at("average.p").to_vector<float>()[0] == 2);
  CHECK(p[0].second.requires_grad());
}

TEST_CASE("a graph notices that its parameters were swapped") {
  NamedParameters p = one(3);
  const Variable& w = p[0].second;
  ParameterAverage average(p);
  average.update();
  const Variable loss = autograd::sum(w * w);
  {
    const optim::UseAverage use(average);
    try {
      loss.backward({}, true);
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::autograd);
      CHECK(std::string(error.what()).find("another") != std::string::npos);
    }
  }
  loss.backward();  // they are back
  CHECK(w.grad().data().to_vector<float>() == std::vector<float>{6, 6});
}

TEST_CASE("a warm-up begins with a small decay") {
  NamedParameters p = one(0);
  ParameterAverage average(p, {.decay = 0.999, .warm_up = true});
  average.update();
  p[0].second.mutable_data().fill_(11);
  average.update();  // decay 2 / 11
  average.swap();
  CHECK(first(p) == doctest::Approx(9));
}

TEST_CASE("an average's state comes back, and a wrong one is refused") {
  NamedParameters p = one(1), q = one(7);
  ParameterAverage average(p, {.decay = 0.5}), other(q, {.decay = 0.5});
  other.load_state_dict(average.state_dict());  // before any update
  CHECK(other.updates() == 0);
  average.update();
  average.update();
  optim::State state = average.state_dict();
  other.load_state_dict(state);
  CHECK(other.updates() == 2);
  other.update();
  other.swap();
  CHECK(first(q) == 4);
  other.swap();
  const auto fails = [&](const std::function<void(optim::State&)>& change) {
    optim::State wrong = state;
    change(wrong);
    CHECK_THROWS_AS(other.load_state_dict(wrong), Error);
    CHECK(other.updates() == 3);
  };
  fails([](auto& s) { s.scalars.clear(); });
  fails([](auto& s) { s.scalars["updates"] = -1; });
  fails([](auto& s) { s.scalars["updates"] = 0; });
  fails([](auto& s) { s.tensors.clear(); });
  fails([](auto& s) { s.tensors["average.q"] = Tensor::zeros({2}); });
  fails([](auto& s) { s.tensors["average.p"] = Tensor::zeros({3}); });
  CHECK_THROWS_AS(ParameterAverage(p, {.decay = 1.0}), Error);
  CHECK_THROWS_AS(ParameterAverage({}), Error);
}
