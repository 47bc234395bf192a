#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

using tensor::AdamStep;
using tensor::DType;
using tensor::Error;
using tensor::Generator;
using tensor::SgdStep;
using tensor::Shape;
using tensor::Tensor;

namespace {

using Tensors = std::vector<Tensor>;

// Around the edges of vectors and of the kernel's tiles, and mixed types.
const std::vector<std::pair<Shape, DType>> kShapes = {
    {{1}, DType::f32},     {{0}, DType::f32},     {{7, 3}, DType::f64},     {{16383}, DType::f32},
    {{16384}, DType::f64}, {{16385}, DType::f32}, {{3, 20000}, DType::f32}, {{}, DType::f64}};

Tensors random(uint64_t seed, bool positive = false) {
  Generator generator(seed);
  Tensors tensors;
  for (const auto& [shape, dtype] : kShapes) {
    Tensor t = Tensor::empty(shape, dtype);
    if (positive)
      tensor::fill_uniform(t, 0, 1, generator);
    else
      tensor::fill_normal(t, 0, 1, generator);
    tensors.push_back(t);
  }
  return tensors;
}

Tensors clones(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& t : tensors) result.push_back(t.clone());
  return result;
}

std::vector<double> values(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

double greatest_difference(const Tensor& a, const std::vector<double>& b) {
  const auto x = values(a);
  double greatest = 0;
  for (size_t i = 0; i < x.size(); ++i)
    greatest = std::max(greatest, std::abs(x[i] - b[i]) / std::max(1.0, std::abs(b[i])));
  return greatest;
}

double tolerance(const Tensor& t) { return t.dtype() == DType::f64 ? 1e-14 : 2e-6; }

// A step on these tensors, with the settings of `p`.
void adamw(AdamStep p, const Tensors& weights, const Tensors& gradients, const Tensors& m, const Tensors& v) {
  p.weights = weights, p.gradients = gradients, p.m = m, p.v = v;
  tensor::kernels::adamw(p);
}

void sgd(SgdStep p, const Tensors& weights, const Tensors& gradients, const Tensors& buffers) {
  p.weights = weights, p.gradients = gradients, p.buffers = buffers;
  tensor::kernels::sgd(p);
}

AdamStep adam_settings(double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled,
                       int64_t step, double gradient_scale = 1) {
  AdamStep p;
  p.lr = lr, p.beta1 = beta1, p.beta2 = beta2, p.eps = eps, p.weight_decay = weight_decay;
  p.decoupled = decoupled, p.step = step, p.gradient_scale = gradient_scale;
  return p;
}

SgdStep sgd_settings(double lr, double momentum, double dampening, double weight_decay, bool nesterov,
                     bool first, double gradient_scale = 1) {
  SgdStep p;
  p.lr = lr, p.momentum = momentum, p.dampening = dampening, p.weight_decay = weight_decay;
  p.nesterov = nesterov, p.step = first ? 1 : 2, p.gradient_scale = gradient_scale;
  return p;
}

}  // namespace

TEST_CASE("adamw: each element is as the formula says") {
  for (const bool decoupled : {true, false})
    for (const int64_t step : {1, 7})
      for (const double beta1 : {0.9, 0.3}) {
        const double scale = 0.25;
        const AdamStep p = adam_settings(0.02, beta1, 0.99, 1e-6, 0.1, decoupled, step, scale);
        Tensors w = random(1), m = random(3), v = random(4, true);
        const Tensors g = random(2), w0 = clones(w), m0 = clones(m), v0 = clones(v);
        adamw(p, w, g, m, v);
        for (size_t i = 0; i < w.size(); ++i) {
          auto expected_w = values(w0[i]), expected_m = values(m0[i]), expected_v = values(v0[i]);
          const auto gradients = values(g[i]);
          for (size_t k = 0; k < gradients.size(); ++k) {
            const double gradient = gradients[k] * scale + (decoupled ? 0 : p.weight_decay * expected_w[k]);
            expected_m[k] = beta1 * expected_m[k] + (1 - beta1) * gradient;
            expected_v[k] = p.beta2 * expected_v[k] + (1 - p.beta2) * gradient * gradient;
            const double m_hat = expected_m[k] / (1 - std::pow(beta1, static_cast<double>(step)));
            const double v_hat = expected_v[k] / (1 - std::pow(p.beta2, static_cast<double>(step)));
            if (decoupled) expected_w[k] *= 1 - p.lr * p.weight_decay;
            expected_w[k] -= p.lr * m_hat / (std::sqrt(v_hat) + p.eps);
          }
          CAPTURE(i);
          CHECK(greatest_difference(w[i], expected_w) < tolerance(w[i]));
          CHECK(greatest_difference(m[i], expected_m) < tolerance(w[i]));
          CHECK(greatest_difference(v[i], expected_v) < tolerance(w[i]));
        }
      }
}

TEST_CASE("sgd: each element is as the formula says") {
  struct Variant {
    double momentum, dampening, decay;
    bool nesterov, first;
  };
  for (const Variant& o : {Variant{0, 0, 0, false, true}, Variant{0, 0, 0.1, false, false},
                           Variant{0.9, 0, 0, false, true}, Variant{0.9, 0.3, 0.1, false, false},
                           Variant{0.9, 0, 0.1, true, true}, Variant{0.9, 0, 0, true, false}}) {
    const double lr = 0.05, scale = 4;
    Tensors w = random(1), b = random(3);
    if (o.first)
      for (Tensor& t : b) t.fill_(NAN);  // never read
    const Tensors g = random(2), w0 = clones(w), b0 = clones(b);
    Tensors none(w.size());
    sgd(sgd_settings(lr, o.momentum, o.dampening, o.decay, o.nesterov, o.first, scale), w, g,
        o.momentum == 0 ? none : b);
    for (size_t i = 0; i < w.size(); ++i) {
      auto expected_w = values(w0[i]), expected_b = values(b0[i]);
      const auto gradients = values(g[i]);
      for (size_t k = 0; k < gradients.size(); ++k) {
        double gradient = gradients[k] * scale + o.decay * expected_w[k];
        if (o.momentum != 0) {
          expected_b[k] = o.first ? gradient : o.momentum * expected_b[k] + (1 - o.dampening) * gradient;
          gradient = o.nesterov ? gradient + o.momentum * expected_b[k] : expected_b[k];
        }
        expected_w[k] -= lr * gradient;
      }
      CAPTURE(i);
      CHECK(greatest_difference(w[i], expected_w) < tolerance(w[i]));
      if (o.momentum != 0) CHECK(greatest_difference(b[i], expected_b) < tolerance(w[i]));
    }
  }
}

// w = torch.tensor([inf, 1.]); g = torch.tensor([1., inf]); one step of torch.optim.SGD([w], 0.1), the same
// with momentum 0.9: [inf, -inf]; of Adam with g = 1: [inf, .9]
TEST_CASE(
    "what does not count is left out, not multiplied by 0: infinite weights and gradients give no NaN") {
  const auto vector = [](float a, float b) {
    return std::vector<Tensor>{Tensor::from(std::vector<float>{a, b}, {2})};
  };
  const float inf = INFINITY;
  for (const double momentum : {0.0, 0.9}) {
    std::vector<Tensor> w = vector(inf, 1), b = vector(0, 0);
    sgd(sgd_settings(0.1, momentum, 0, 0, false, true), w, vector(1, inf), b);
    CHECK(w[0].to_vector<float>() == std::vector<float>{inf, -inf});
  }
  for (const bool decoupled : {false, true}) {
    std::vector<Tensor> w = vector(inf, 1), m = vector(0, 0), v = vector(0, 0);
    adamw(adam_settings(0.1, 0.9, 0.999, 1e-8, 0, decoupled, 1), w, vector(1, 1), m, v);
    CHECK(w[0].to_vector<float>()[0] == inf);
    CHECK(static_cast<double>(w[0].to_vector<float>()[1]) == doctest::Approx(0.9));
  }
}

TEST_CASE("optimiser kernels give the same bits with any number of threads, and count as writes") {
  const int before = tensor::num_threads();
  std::vector<std::vector<double>> runs;
  for (const int threads : {1, 2, 4}) {
    tensor::set_num_threads(threads);
    Tensors w = random(1), m = random(3), v = random(4, true), b = random(5);
    const Tensors g = random(2);
    const uint64_t version = w[3].version();
    adamw(adam_settings(0.02, 0.9, 0.99, 1e-6, 0.1, true, 3), w, g, m, v);
    CHECK(w[3].version() > version);
    sgd(sgd_settings(0.1, 0.9, 0, 0.1, true, false), w, g, b);
    std::vector<double>& all = runs.emplace_back();
    for (const Tensor& t : w)
      for (const double x : values(t)) all.push_back(x);
  }
  tensor::set_num_threads(before);
  CHECK(runs[0] == runs[1]);
  CHECK(runs[0] == runs[2]);
}

TEST_CASE("optimiser kernels pass NaN on and refuse what does not fit") {
  Tensors w = {Tensor::full({4}, 1)}, m = {Tensor::zeros({4})}, v = {Tensor::zeros({4})};
  const AdamStep p = adam_settings(0.1, 0.9, 0.999, 1e-8, 0, true, 1);
  adamw(p, w, {Tensor::from<float>({1, NAN, 0, -1}, {4})}, m, v);
  const auto after = w[0].to_vector<float>();
  CHECK(after[0] == doctest::Approx(0.9));
  CHECK(std::isnan(after[1]));
  CHECK(after[2] == 1);
  CHECK(after[3] == doctest::Approx(1.1));

  const auto fails = [&](const Tensors& g, const Tensors& state) {
    Tensors weights = {Tensor::zeros({2, 3})}, a = state, b = state;
    CHECK_THROWS_AS(adamw(p, weights, g, a, b), Error);
    CHECK_THROWS_AS(sgd(sgd_settings(0.1, 0.9, 0, 0, false, false), weights, g, a), Error);
  };
  const Tensor good = Tensor::zeros({2, 3});
  fails({}, {good});
  fails({good}, {});
  fails({Tensor::zeros({3, 2})}, {good});
  fails({Tensor::zeros({3, 2}).t()}, {good});
  fails({good}, {Tensor::zeros({2, 3}, DType::f64)});
  Tensors integers = {Tensor::zeros({2}, DType::i64)};
  CHECK_THROWS_AS(sgd(sgd_settings(0.1, 0, 0, 0, false, true), integers, integers, integers), Error);
  Tensors weights = {good.clone()}, a = {good.clone()}, b = {good.clone()};
  CHECK_THROWS_AS(adamw(adam_settings(0.1, 0.9, 0.999, 1e-8, 0, true, 0), weights, {good}, a, b), Error);
}
