// A parameter without elements, and one whose elements share their memory.
#include <memory>

#include "autograd/ops.h"
#include "optim/adam.h"
#include "optim/average.h"
#include "optim/clip.h"
#include "optim/grad_scaler.h"
#include "optim/sgd.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using optim::NamedParameters;
using optim::Optimizer;
using tensor::ErrorKind;
using tensor::Tensor;
using tests::check_error;
using tests::values;

namespace {

std::vector<std::unique_ptr<Optimizer>> optimizers(const NamedParameters& p) {
  std::vector<std::unique_ptr<Optimizer>> all;
  all.push_back(
      std::make_unique<optim::SGD>(p, optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01}));
  all.push_back(std::make_unique<optim::Adam>(p, optim::AdamOptions{.lr = 0.1}));
  all.push_back(std::make_unique<optim::AdamW>(p, optim::AdamWOptions{.lr = 0.1}));
  return all;
}

}  // namespace

//   w = nn.Parameter(torch.tensor([1., -2., 3.])); e = nn.Parameter(torch.zeros(0, 3)); o =
//   torch.optim.SGD([e, w], ...) for i in range(3): o.zero_grad(); (w * w * (i + 1)).sum().backward(); e.grad
//   = torch.zeros(0, 3)
//                      n = nn.utils.clip_grad_norm_([e, w], 5.0); o.step()
TEST_CASE("optimisers, clipping and averages take a parameter without elements") {
  const std::vector<std::vector<double>> wanted = {
      {0.24536839127540588, -0.49073678255081177, 0.73610520362854},
      {0.7008209228515625, -1.7000802755355835, 2.6999101638793945},
      {0.6981251835823059, -1.69438636302948, 2.691218852996826}};
  const double norms[] = {13.687862396240234, 20.540929794311523, 20.497032165527344};
  for (size_t k = 0; k < wanted.size(); ++k) {
    CAPTURE(k);
    const Variable w(Tensor::from<float>({1, -2, 3}, {3}), true);
    Variable empty(Tensor::zeros({0, 3}), true);
    const NamedParameters parameters = {{"e", empty}, {"w", w}};
    const auto all = optimizers(parameters);
    Optimizer& optimizer = *all[k];
    optim::ParameterAverage average(parameters);
    double norm = 0;
    for (int i = 0; i < 3; ++i) {
      optimizer.zero_grad();
      sum(w * w * (i + 1.0)).backward();
      empty.set_grad(Tensor::zeros({0, 3}));
      norm = optim::clip_grad_norm_(optimizer.parameters(), 5);
      optim::clip_grad_value_({empty}, 1);
      optimizer.step();
      average.update();
    }
    CHECK(norm == doctest::Approx(norms[k]).epsilon(1e-5));
    const std::vector<double> got = values(w.data());
    for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(wanted[k][i]).epsilon(1e-5));
    optimizer.load_state_dict(optimizer.state_dict());
    average.swap();
    CHECK(empty.shape() == tensor::Shape{0, 3});
    optim::GradScaler scaler;
    optimizer.zero_grad();
    scaler.scale(sum(empty) + sum(w)).backward();
    CHECK(scaler.step(optimizer));
  }
}

// torch.optim.SGD([torch.ones(1).expand(3).requires_grad_()], 0.1), .step(): "unsupported operation: more
// than one element of the written-to tensor refers to a single memory location"
TEST_CASE("optimisers refuse to write to an expanded weight") {
  const Tensor memory = Tensor::full({1}, 1);
  Variable w(memory.expand({3}), true);
  for (const auto& optimizer : optimizers({{"w", w}})) {
    w.set_grad(Tensor::full({3}, 1));
    CHECK_THROWS_AS(optimizer->step(), tensor::Error);
    CHECK(memory.item() == 1);
  }
}
