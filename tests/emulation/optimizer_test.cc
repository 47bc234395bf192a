#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"

using namespace tests;
using tensor::AdamStep;
using tensor::AverageStep;
using tensor::Device;
using tensor::DType;
using tensor::FromBlock;
using tensor::SgdStep;
using tensor::Shape;
using tensor::StepPlace;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

using Tensors = std::vector<Tensor>;

constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();
const Device kDevices[] = {Device::cpu(), Device::cuda()};

// Around the edges of a launch's tiles and lists, and of mixed types.
Tensors made_all(uint32_t seed, Device device, double low = -1) {
  Tensors all;
  const auto add = [&](const Shape& shape, DType dtype) {
    all.push_back(made(seed++, shape, low).to(dtype).to(device));
  };
  for (const int64_t n : {1, 0, 21, 1000, 16384, 16385, 5}) add({n}, DType::f32);
  for (const int64_t n : {3, 16385}) add({n}, DType::f64);
  for (int64_t i = 0; i < 200; ++i) add({1 + i % 3, 1 + i % 7}, DType::f32);
  return all;
}

Tensor block_on(Device device, double skip, double good, double gradient_scale) {
  std::vector<double> places(StepPlace::count);
  places[StepPlace::skip] = skip, places[StepPlace::good] = good;
  places[StepPlace::gradient_scale] = gradient_scale;
  return Tensor::from<double>(places, {StepPlace::count}, device);
}

FromBlock from_block(Device device, double skip, double good) {
  return {block_on(device, skip, good, 0.5), Tensor::from<double>({0.1, 0.02, 0.03}, {3}, device)};
}

// Rounding alone: multiplications and additions may be fused.
void check_same(const Tensors& got, const Tensors& want, const char* what) {
  for (size_t i = 0; i < want.size(); ++i)
    CHECK_MESSAGE(worst_error(got[i], want[i], 1) <= (want[i].dtype() == DType::f64 ? 1e-14 : 1e-6), what,
                  " ", i);
}

bool are_equal(const Tensors& a, const Tensors& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!same_values(a[i], b[i])) return false;
  return true;
}

// Settings whose tensors come later.
template <class Step, class Set>
Step settings(Set set) {
  Step p;
  set(p);
  return p;
}

// The weights, m and v after a step.
struct AdamResult {
  Tensors w, m, v;
};

AdamResult adam_on(Device device, AdamStep p) {
  AdamResult r{made_all(1, device), made_all(2000, device), made_all(3000, device, 0)};
  p.weights = r.w, p.m = r.m, p.v = r.v, p.gradients = made_all(4000, device);
  kernels::adamw(p);
  return r;
}

void check_adam(AdamStep p, std::optional<std::pair<double, double>> block = {}) {
  AdamResult r[2];
  for (const int k : {0, 1}) {
    if (block) p.from = from_block(kDevices[k], block->first, block->second);
    r[k] = adam_on(kDevices[k], p);
  }
  check_same(r[1].w, r[0].w, "weight");
  check_same(r[1].m, r[0].m, "m");
  check_same(r[1].v, r[0].v, "v");
}

std::pair<Tensors, Tensors> sgd_on(Device device, SgdStep p) {
  Tensors w = made_all(1, device), b = made_all(2000, device);
  if (p.step == 1 && !p.from.block.defined())
    for (Tensor& t : b) t.fill_(kNan);  // never read
  p.weights = w, p.gradients = made_all(4000, device);
  p.buffers = p.momentum == 0 ? Tensors(w.size()) : b;
  kernels::sgd(p);
  return {w, b};
}

void check_sgd(SgdStep p, std::optional<std::pair<double, double>> block = {}) {
  std::pair<Tensors, Tensors> r[2];
  for (const int k : {0, 1}) {
    if (block) p.from = from_block(kDevices[k], block->first, block->second);
    r[k] = sgd_on(kDevices[k], p);
  }
  check_same(r[1].first, r[0].first, "weight");
  check_same(r[1].second, r[0].second, "buffer");
}

Tensors average_on(Device device, AverageStep p, std::optional<std::pair<double, double>> block = {}) {
  Tensors averages = made_all(1, device);
  p.averages = averages, p.parameters = made_all(2000, device);
  if (block) p.block = block_on(device, block->first, block->second, 1);
  kernels::average(p);
  return averages;
}

std::vector<double> first_bad(const Tensors& tensors, Device device = Device::cuda()) {
  Tensor out = Tensor::full({3}, 7, DType::f64, device);
  kernels::first_not_finite(out, tensors);
  return numbers(out);
}

}  // namespace

TEST_CASE("adamw as on the CPU, with and without a block") {
  for (const bool decoupled : {true, false})
    for (const double beta1 : {0.9, 0.3})
      for (const double decay : {0.0, 0.1}) {
        check_adam(settings<AdamStep>([&](AdamStep& p) {
          p.lr = 0.02, p.beta1 = beta1, p.beta2 = 0.99, p.eps = 1e-6, p.weight_decay = decay;
          p.decoupled = decoupled, p.step = 3, p.gradient_scale = 0.25;
        }));
      }
  const auto late = settings<AdamStep>([](AdamStep& p) { p.decoupled = true, p.step = 4; });
  for (const double good : {0, 1, 2, 30}) check_adam(late, std::pair(0.0, good));
}

TEST_CASE("sgd as on the CPU, with and without a block") {
  for (const double momentum : {0.0, 0.9})
    for (const bool nesterov : {false, true})
      for (const double decay : {0.0, 0.1})
        for (const int64_t step : {1, 2})
          check_sgd(settings<SgdStep>([&](SgdStep& p) {
            p.lr = 0.05, p.momentum = momentum, p.dampening = nesterov ? 0 : 0.3, p.weight_decay = decay;
            p.nesterov = nesterov, p.step = step, p.gradient_scale = 4;
          }));
  const auto heavy = settings<SgdStep>([](SgdStep& p) { p.momentum = 0.9; });
  for (const double good : {0, 1, 30}) check_sgd(heavy, std::pair(0.0, good));
}

TEST_CASE("average as on the CPU, with and without a block") {
  for (const int64_t t : {0, 1, 5, 100})
    for (const std::optional<double> decay : {std::optional<double>(), std::optional<double>(0.9)})
      for (const bool warm_up : {false, true}) {
        const auto p = settings<AverageStep>(
            [&](AverageStep& step) { step.decay = decay, step.warm_up = warm_up, step.t = t; });
        check_same(average_on(kDevices[1], p), average_on(kDevices[0], p), "average");
        const std::pair block(0.0, 3.0);
        check_same(average_on(kDevices[1], p, block), average_on(kDevices[0], p, block), "average");
      }
  // The first time it may hold anything.
  Tensors averages = {Tensor::full({5}, kNan, DType::f32, Device::cuda())};
  const Tensors parameters = {made(1, {5}).to(DType::f32).to(Device::cuda())};
  kernels::average({.averages = averages, .parameters = parameters});
  CHECK(are_equal(averages, parameters));
}

TEST_CASE("a step that the block skips changes nothing") {
  const Device there = Device::cuda();
  const AdamResult adam =
      adam_on(there, settings<AdamStep>([&](AdamStep& p) { p.from = from_block(there, 1, 2); }));
  CHECK(are_equal(adam.w, made_all(1, there)));
  CHECK(are_equal(adam.m, made_all(2000, there)));
  CHECK(are_equal(adam.v, made_all(3000, there, 0)));
  const auto [w, b] = sgd_on(
      there, settings<SgdStep>([&](SgdStep& p) { p.from = from_block(there, 1, 2), p.momentum = 0.9; }));
  CHECK(are_equal(w, made_all(1, there)));
  CHECK(are_equal(b, made_all(2000, there)));
  CHECK(are_equal(average_on(there, {}, std::pair(1.0, 2.0)), made_all(1, there)));
}

TEST_CASE("terms that do not count are left out: an infinite weight stays") {
  Tensors w = {Tensor::full({3}, kInf, DType::f32, Device::cuda())};
  const Tensors g = {Tensor::full({3}, 1, DType::f32, Device::cuda())};
  Tensors m = {Tensor::zeros({3}, DType::f32, Device::cuda())}, v = {m[0].clone()};
  kernels::adamw({.weights = w, .m = m, .v = v, .gradients = g});
  kernels::sgd({.weights = w, .buffers = Tensors(1), .gradients = g});
  CHECK(numbers(w[0]) == std::vector<double>(3, kInf));
}

TEST_CASE("first_not_finite as on the CPU: tensor, element and value of the first one") {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    const Device there = Device::cuda();
    const Tensor good = Tensor::full({40000}, 1, type, there), none = Tensor::empty({0}, type, there);
    Tensor bad = Tensor::full({3, 4}, 1, type, there), far = Tensor::full({40000}, 1, type, there);
    CHECK(first_bad({}) == std::vector<double>{-1, 0, 0});
    CHECK(first_bad({none, good, bad}) == std::vector<double>{-1, 0, 0});
    bad.select(0, 2).slice(0, 1, 2).fill_(-kInf);
    far.slice(0, 39999, 40000).fill_(kInf);
    CHECK(first_bad({none, bad, far}) == std::vector<double>{1, 9, -kInf});
    CHECK(first_bad({good, far, bad}) == std::vector<double>{1, 39999, kInf});
    CHECK(first_bad({bad.t()}) == std::vector<double>{0, 5, -kInf});
    bad.select(0, 0).slice(0, 3, 4).fill_(kNan);
    const std::vector<double> found = first_bad({bad});
    CHECK(found[1] == 3);
    CHECK(std::isnan(found[2]));
  }
  for (const int64_t at : {0, 255, 256, 1023, 16383, 16384, 16389}) {
    Tensors many = made_all(1, Device::cuda());
    many[8].slice(0, std::min<int64_t>(at, 16384), 16385).fill_(kNan);
    many[5].slice(0, std::min<int64_t>(at, 16384), 16385).fill_(kInf);
    CHECK(first_bad(many) == std::vector<double>{5, std::min(16384.0, static_cast<double>(at)), kInf});
  }
  Tensors many = made_all(1, Device::cuda());
  many[208].fill_(-kInf);  // far behind the first list
  CHECK(first_bad(many) == std::vector<double>{208, 0, -kInf});
  // Their squares are not finite, they are.
  CHECK(first_bad({Tensor::full({2}, 1e300, DType::f64, Device::cuda())})[0] == -1);
}

TEST_CASE("finish_step as on the CPU, step after step") {
  struct Step {
    double loss, squares, bad;
  };
  for (const double clip : {0.0, 1.0})
    for (const bool scaled : {true, false}) {
      Tensor blocks[2];
      for (const int k : {0, 1}) {
        blocks[k] = block_on(kDevices[k], 1, 0, 1);
        blocks[k].slice(0, StepPlace::loss_scale, StepPlace::loss_scale + 1).fill_(0x1p126);
      }
      for (const Step& s :
           {Step{2, 16, -1}, Step{3, 0.01, -1}, Step{1, kInf, 2}, Step{kNan, 1, -1}, Step{4, kNan, -1},
            Step{2, 9, -1}, Step{2, 9, -1}, Step{2, 9, -1}, Step{kInf, 9, 0}}) {
        for (const int k : {0, 1}) {
          const auto number = [&](double x) { return Tensor::full({1}, x, DType::f64, kDevices[k]); };
          kernels::finish_step(
              {.block = blocks[k],
               .loss = number(s.loss),
               .squares = number(s.squares),
               .bad = scaled ? Tensor::from<double>({s.bad, 5, kInf}, {3}, kDevices[k]) : Tensor(),
               .tokens = 19,
               .clip_norm = clip,
               .growth_interval = 2});
        }
        CHECK(same_values(blocks[1], blocks[0]));
      }
    }
}

TEST_CASE("steps: launches, what they read and write, and the same bits in any order") {
  const Device there = Device::cuda();
  Tensors w, g, m, v, u;
  for (int64_t i = 0; i < 70; ++i) {
    w.push_back(made(1, {500}).to(DType::f32).to(there));
    g.push_back(w[0].clone()), m.push_back(w[0].clone()),
        v.push_back(Tensor::zeros({500}, DType::f32, there));
    u.push_back(made(2, {500}).to(DType::f32).to(there));
  }
  const double n = 70 * 500;
  expect_launches("adamw", {2, 16 * n, 28 * n},
                  [&] { kernels::adamw({.weights = w, .m = m, .v = v, .gradients = g}); });
  expect_launches("sgd", {1, 3 * n, 12 * n},
                  [&] { kernels::sgd({.weights = w, .buffers = Tensors(70), .gradients = g}); });
  expect_launches("average", {1, 3 * n, 12 * n},
                  [&] { kernels::average({.averages = w, .parameters = g, .t = 3}); });
  expect_same_in_any_order([&] { return adam_on(there, {}).w[6]; });
  expect_same_in_any_order([&] {
    Tensor out = Tensor::empty({3}, DType::f64, there);
    kernels::first_not_finite(out, u);
    return out;
  });
}
