#include "optim/grad_scaler.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include "autograd/autocast.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "tensor/error.h"
#include "tests/child.h"
#include "tests/data_dir.h"

using autograd::Variable;
using optim::GradScaler;
using optim::GradScalerOptions;
using tensor::DType;
using tensor::Error;
using tensor::Tensor;

namespace {

struct Model {
  Variable weight{Tensor::full({3}, 1), true};
  std::unique_ptr<optim::SGD> optimizer;
  explicit Model(const std::string& name = "layer.weight")
      : optimizer(std::make_unique<optim::SGD>(optim::NamedParameters{{name, weight}},
                                               optim::SgdOptions{.lr = 0.125})) {}
  void set_gradient(double value, double scale) {
    Tensor g = Tensor::full({3}, scale);
    g.slice(0, 1, 2).fill_(value * scale);
    weight.set_grad(g);
  }
  double middle() const { return weight.data().slice(0, 1, 2).item(); }
  Variable loss(double slope = 1) const { return autograd::sum(weight * slope); }
};

double of_letter(char letter) { return letter == 'o' ? 1 : letter == 'x' ? INFINITY : NAN; }

}  // namespace

TEST_CASE("GradScaler: events, scales and skipped steps are PyTorch's") {
  std::ifstream file(tests::source_dir() / "tests/golden/grad_scaler.txt");
  std::string line, name, current;
  std::unique_ptr<GradScaler> scaler;
  std::vector<std::unique_ptr<Model>> models;
  int64_t lines = 0, skipped = 0;
  while (std::getline(file, line)) {
    ++lines;
    std::istringstream fields(line);
    std::getline(fields, name, '\t');
    size_t count = 0;
    GradScalerOptions options;
    options.min_scale = 0;
    int64_t step = 0, tracker = 0;
    std::string kinds, moved;
    double scale = 0;
    fields >> count >> options.init_scale >> options.growth_factor >> options.backoff_factor >>
        options.growth_interval >> step >> kinds >> scale >> tracker >> moved;
    CAPTURE(line);
    REQUIRE(!fields.fail());
    if (name != current) {
      current = name;
      scaler = std::make_unique<GradScaler>(options);
      models.clear();
      for (size_t k = 0; k < count; ++k) models.push_back(std::make_unique<Model>());
      skipped = 0;
    }
    for (size_t k = 0; k < count; ++k)
      models[k]->set_gradient(of_letter(kinds[k]), scaler->scale() < 0x1p127 ? scaler->scale() : 1);
    for (size_t k = 0; k < count; ++k) {
      const double before = models[k]->middle();
      const bool stepped = scaler->step(*models[k]->optimizer);
      CHECK(stepped == (moved[k] == 'y'));
      CHECK((models[k]->middle() != before) == stepped);
      CHECK(scaler->found_inf(*models[k]->optimizer) != stepped);
    }
    scaler->update();
    if (kinds.find_first_not_of('o') != std::string::npos) ++skipped;
    CHECK(scaler->scale() == scale);
    CHECK(scaler->growth_tracker() == tracker);
    CHECK(scaler->skipped() == skipped);
  }
  CHECK(lines == 43);
}

TEST_CASE("GradScaler: a scaled backward gives the gradients of an unscaled one") {
  Model model;
  GradScaler scaler;
  CHECK(scaler.scale(model.loss(2)).item() == 6 * 65536.0);
  scaler.scale(model.loss(2)).backward();
  CHECK(model.weight.grad().data().to_vector<float>() == std::vector<float>(3, 2 * 65536.0f));
  scaler.unscale_(*model.optimizer);
  CHECK(model.weight.grad().data().to_vector<float>() == std::vector<float>(3, 2));
  CHECK(optim::clip_grad_norm_({model.weight}, 1) == doctest::Approx(2 * std::sqrt(3.0)));
  CHECK(scaler.step(*model.optimizer));
  CHECK(model.middle() == doctest::Approx(1 - 0.125 / std::sqrt(3.0)));
  scaler.update();
}

TEST_CASE("GradScaler: f16 gradients that would be zero survive by the scale") {
  for (const bool scaled : {false, true}) {
    Model model;
    GradScaler scaler;
    Variable loss;
    {
      const autograd::AutocastGuard autocast(DType::f16);
      const Variable x = Tensor::full({1, 3}, 1);
      const Variable product = autograd::matmul(x, autograd::reshape(model.weight, {3, 1}));
      loss = autograd::sum(product) * 1e-9;  // under f16's least number, 6e-8
    }
    (scaled ? scaler.scale(loss) : loss).backward();
    if (scaled) scaler.unscale_(*model.optimizer);
    const float gradient = model.weight.grad().data().to_vector<float>()[0];
    if (scaled)
      CHECK(gradient == doctest::Approx(1e-9).epsilon(0.001));
    else
      CHECK(gradient == 0);
  }
}

TEST_CASE("GradScaler: every wrong order is an error") {
  Model model, other;
  GradScaler scaler;
  const auto message = [](const char* text) { return doctest::Contains(text); };
  CHECK_THROWS_WITH_AS(scaler.update(), message("update() before any step()"), Error);
  CHECK_THROWS_WITH_AS(scaler.step(*model.optimizer), message("no parameter of the optimiser has a gradient"),
                       Error);
  scaler.scale(model.loss()).backward();
  // Scaled gradients are not taken for true ones by anything that reads them.
  CHECK_THROWS_WITH_AS(optim::clip_grad_norm_({model.weight}, 1),
                       message("clip_grad_norm: the gradient (3) f32 still has the loss scale 65536"), Error);
  CHECK_THROWS_WITH_AS(optim::clip_grad_value_({model.weight}, 1), message("clip_grad_value: "), Error);
  CHECK_THROWS_WITH_AS(optim::grad_norm({model.weight}), message("grad_norm: "), Error);
  CHECK_THROWS_WITH_AS(model.optimizer->step(), message("step(optimizer) in place of the optimiser's"),
                       Error);
  CHECK(model.middle() == 1);
  // Other parameters are none of its business.
  other.loss().backward();
  CHECK(optim::clip_grad_norm_({other.weight}, 10) > 0);
  other.optimizer->step();
  scaler.unscale_(*model.optimizer);
  CHECK(optim::clip_grad_norm_({model.weight}, 10) > 0);
  CHECK_THROWS_WITH_AS(scaler.unscale_(*model.optimizer), message("unscale_() a second time"), Error);
  CHECK_THROWS_WITH_AS(scaler.scale(model.loss()), message("unscaled already"), Error);
  CHECK(scaler.step(*model.optimizer));
  CHECK_THROWS_WITH_AS(scaler.step(*model.optimizer), message("step() a second time"), Error);
  CHECK_THROWS_WITH_AS(scaler.unscale_(*model.optimizer), message("unscale_() after step()"), Error);
  scaler.update();
  CHECK_THROWS_WITH_AS(scaler.update(), message("update() before any step()"), Error);
  scaler.scale(model.loss()).backward();
  CHECK(scaler.step(*model.optimizer));
  scaler.update();
  // A scaler that is gone scales nothing.
  {
    GradScaler brief;
    brief.scale(model.loss()).backward();
  }
  model.optimizer->step();

  Variable half(Tensor::full({2}, 1, DType::f16), true);
  optim::SGD sgd({{"half", half}}, optim::SgdOptions{.lr = 0.1});
  half.set_grad(Tensor::full({2}, 1, DType::f16));
  CHECK_THROWS_WITH_AS(scaler.unscale_(sgd), message("'half' is (2) f16; keep parameters in f32"), Error);
  CHECK_THROWS_AS(GradScaler({.init_scale = 0}), Error);
  CHECK_THROWS_AS(GradScaler({.growth_factor = 1}), Error);
  CHECK_THROWS_AS(GradScaler({.backoff_factor = 1}), Error);
  CHECK_THROWS_AS(GradScaler({.growth_interval = 0}), Error);
  CHECK_THROWS_AS(GradScaler({.init_scale = 2, .min_scale = 3}), Error);
}

TEST_CASE("GradScaler: one optimiser overflows, the other steps") {
  Model good("good"), bad("bad");
  GradScaler scaler;
  scaler.scale(good.loss()).backward();
  scaler.scale(bad.loss(1e38)).backward();
  CHECK(scaler.step(*good.optimizer));
  CHECK(!scaler.step(*bad.optimizer));
  CHECK(scaler.first_bad() == "bad: element 0 of (3) f32 is inf");
  scaler.update();
  CHECK(scaler.scale() == 32768);
  CHECK(good.middle() == 0.875);
  CHECK(bad.middle() == 1);
}

TEST_CASE("GradScaler: the floor is an error that names the parameter") {
  Model model("decoder.lstm.weight");
  GradScaler scaler({.init_scale = 4});
  for (int i = 0; i < 3; ++i) {
    model.set_gradient(NAN, 1);
    CHECK(!scaler.step(*model.optimizer));
    if (i < 2) scaler.update();
  }
  CHECK(scaler.scale() == 1);
  CHECK_THROWS_WITH_AS(
      scaler.update(),
      doctest::Contains("loss scale of 1 after 3 skipped steps in a row (decoder.lstm.weight: element "
                        "1 of (3) f32 is nan)"),
      Error);
}

TEST_CASE("GradScaler: its state goes on where it was") {
  Model model;
  GradScaler first({.init_scale = 8, .growth_interval = 3});
  const auto step = [&](GradScaler& scaler, double value) {
    model.set_gradient(value, scaler.scale());
    scaler.step(*model.optimizer);
    scaler.update();
  };
  step(first, INFINITY);
  step(first, 1);
  GradScaler second({.init_scale = 1024, .growth_interval = 3});
  second.load_state_dict(first.state_dict());
  CHECK(second.scale() == 4);
  CHECK(second.skipped() == 1);
  for (int i = 0; i < 2; ++i) step(first, 1), step(second, 1);
  CHECK(first.scale() == 8);
  CHECK(second.scale() == 8);
  CHECK(second.growth_tracker() == 0);
  optim::State wrong = first.state_dict();
  wrong.scalars["scale"] = 0;
  CHECK_THROWS_AS(second.load_state_dict(wrong), Error);
  CHECK_THROWS_AS(second.load_state_dict({}), Error);
  CHECK(second.scale() == 8);
}

TEST_CASE("GradScaler: a loss of several parameters scales the gradient of each") {
  Model a("a"), b("b"), c("c");
  GradScaler scaler;
  const Variable both = a.weight * b.weight;
  scaler.scale(autograd::sum(both + both * c.weight)).backward();
  for (const Model* model : {&a, &b, &c}) {
    CHECK_THROWS_AS(optim::grad_norm({model->weight}), Error);
    scaler.unscale_(*model->optimizer);
    CHECK(optim::grad_norm({model->weight}) > 0);
  }
}

TEST_CASE("GradScaler: what had no gradient when its optimiser was unscaled may get one before update()") {
  const Variable used(Tensor::full({2}, 1), true), late(Tensor::full({2}, 1), true);
  optim::SGD sgd({{"used", used}, {"late", late}}, optim::SgdOptions{.lr = 0.5});
  GradScaler scaler({.init_scale = 4});
  scaler.scale(autograd::sum(used * 1.0)).backward();
  scaler.unscale_(sgd);
  CHECK_THROWS_WITH_AS(scaler.scale(autograd::sum(used * 1.0)), doctest::Contains("unscaled already"), Error);
  const Variable second = scaler.scale(autograd::sum(late * 1.0));
  CHECK(second.item() == 8);
  second.backward();
  CHECK_THROWS_AS(optim::grad_norm({late}), Error);
  CHECK(optim::grad_norm({used}) > 0);
}

TEST_CASE("GradScaler: update() lets go of all parameters, those of no optimiser, too") {
  const int64_t before = autograd::live_node_count();
  GradScaler scaler;
  {
    Model model;
    const Variable outside(Tensor::full({3}, 1), true);
    scaler.scale(autograd::sum(model.weight * outside)).backward();
    CHECK(scaler.step(*model.optimizer));
    scaler.update();
    CHECK_NOTHROW(optim::grad_norm({model.weight, outside}));
    CHECK_NOTHROW(scaler.scale(model.loss()));  // a second step's
    scaler.step(*model.optimizer);
    scaler.update();
  }
  CHECK(autograd::live_node_count() == before);
}

// As PyTorch 2's:
//   s = torch.amp.GradScaler("cpu", enabled=False)
//   s.scale(loss) is loss, s.get_scale(), s.state_dict()   # True, 1.0, {}
//   s.unscale_(o); s.unscale_(o); s.step(o); s.step(o); s.update(); s.update(); s.load_state_dict({"scale":
//   0})
TEST_CASE("GradScaler: one that is not enabled leaves loss, gradients and steps as they are without it") {
  Model model, plain;
  GradScaler scaler({.init_scale = 0, .growth_factor = 0, .growth_interval = 0, .enabled = false});
  CHECK(!scaler.is_enabled());
  CHECK(GradScaler().is_enabled());
  CHECK(scaler.scale() == 1);
  for (int step = 0; step < 3; ++step) {
    model.optimizer->zero_grad();
    plain.optimizer->zero_grad();
    const Variable loss = model.loss(3);
    const Variable scaled = scaler.scale(loss);
    CHECK(scaled.gradient_edge().node == loss.gradient_edge().node);  // the loss itself
    scaled.backward();
    plain.loss(3).backward();
    CHECK(optim::grad_norm({model.weight}) == optim::grad_norm({plain.weight}));  // unscaled already
    scaler.unscale_(*model.optimizer);
    scaler.unscale_(*model.optimizer);
    CHECK(scaler.step(*model.optimizer, 0.5));
    plain.optimizer->step(0.5);
    scaler.update();
    scaler.update();
    CHECK(model.weight.data().to_vector<float>() == plain.weight.data().to_vector<float>());
  }
  CHECK(model.middle() == 1 - 3 * 0.125 * 0.5 * 3);
  // Infinities are the optimiser's: nothing is skipped.
  model.set_gradient(INFINITY, 1);
  CHECK(scaler.step(*model.optimizer));
  CHECK(!scaler.found_inf(*model.optimizer));
  CHECK(!std::isfinite(model.middle()));
  CHECK(scaler.skipped() == 0);
  CHECK(scaler.growth_tracker() == 0);
  CHECK(scaler.state_dict().scalars.empty());
  CHECK(scaler.state_dict().tensors.empty());
  scaler.load_state_dict(GradScaler({.init_scale = 8}).state_dict());
  scaler.load_state_dict({});
  CHECK(scaler.scale() == 1);
}

TEST_CASE("GradScaler: a child after fork() steps, whatever scalers other threads were making") {
  Model model;
  GradScaler scaler;
  scaler.scale(model.loss()).backward();
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) GradScaler();
  });
  int code = 0;
  for (int i = 0; i < 100 && code == 0; ++i)
    code = tests::in_fork([&] { return scaler.step(*model.optimizer) ? 0 : 1; });
  stop = true;
  busy.join();
  CHECK(code == 0);
}
