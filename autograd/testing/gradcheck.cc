#include "autograd/testing/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace autograd {
namespace {

using tensor::check;
using Values = std::vector<double>;

Values values_of(const Variable& x) { return x.data().to_vector<double>(); }

int64_t offset_of(int64_t index, const Tensor& t) {
  int64_t offset = 0;
  for (int d = t.rank() - 1; d >= 0; --d) {
    offset += index % t.size(d) * t.strides()[d];
    index /= t.size(d);
  }
  return offset;
}

std::string index_text(int64_t index, const Shape& shape) {
  Shape at = shape;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    at[d] = index % shape[d];
    index /= shape[d];
  }
  return to_string(at);
}

// Bitwise, so that NaN equals itself.
bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double sum_abs(const Values& a) {
  double sum = 0;
  for (const double v : a) sum += std::abs(v);
  return sum;
}

Values random_unit(int64_t n, tensor::Generator& generator) {
  Values v(static_cast<size_t>(n));
  for (double& x : v) x = generator.normal();
  const double norm = std::sqrt(dot(v, v));
  for (double& x : v) x /= norm;
  return v;
}

class Checker {
 public:
  Checker(const GradcheckFunction& f, const Variables& inputs, const GradcheckOptions& options)
      : f_(f), inputs_(inputs), options_(options) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].requires_grad()) continue;
      const Tensor& x = inputs[i].data();
      check(x.dtype() == DType::f64, ErrorKind::dtype,
            "gradcheck: input {} is {}; differences need f64, convert it with to()", i, tensor::describe(x));
      for (int d = 0; d < x.rank(); ++d)
        check(x.size(d) <= 1 || x.strides()[d] != 0, ErrorKind::argument,
              "gradcheck: input {} {} has several indices for one element (expand); clone it", i,
              tensor::describe(x));
      checked_.push_back(i);
    }
    check(!checked_.empty(), ErrorKind::argument, "gradcheck: none of the {} inputs requires a gradient",
          inputs.size());
  }

  GradcheckResult run() {
    outputs_ = f_(inputs_);
    for (size_t k = 0; k < outputs_.size(); ++k)
      check(!outputs_[k].defined() || outputs_[k].dtype() == DType::f64 ||
                !tensor::is_floating(outputs_[k].dtype()),
            ErrorKind::dtype, "gradcheck: output {} is {}; differences need f64", k,
            tensor::describe(outputs_[k].data()));
    check_determinism();
    for (size_t k = 0; k < outputs_.size() && result_.ok; ++k) {
      if (!outputs_[k].defined() || outputs_[k].dtype() != DType::f64) continue;
      options_.fast ? check_directions(k) : check_elements(k);
    }
    return result_;
  }

 private:
  template <class... Args>
  void fail(tensor::FormatString<std::type_identity_t<Args>...> text, const Args&... args) {
    result_.ok = false;
    result_.message = "gradcheck: " + tensor::format(text, args...);
  }

  double tolerance(double numeric, double scale = 1) const {
    return options_.atol * scale + options_.rtol * std::abs(numeric);
  }

  void check_determinism() {
    const Variables again = f_(inputs_);
    if (again.size() != outputs_.size())
      return fail("f gave {} outputs, then {}", outputs_.size(), again.size());
    for (size_t k = 0; k < again.size(); ++k) {
      if (!outputs_[k].defined() || outputs_[k].dtype() != DType::f64) continue;
      if (!again[k].defined() || again[k].shape() != outputs_[k].shape() ||
          !same_bits(values_of(again[k]), values_of(outputs_[k])))
        return fail("output {} of f differs between two calls with the same inputs; fix its random numbers",
                    k);
      const Values seed(static_cast<size_t>(outputs_[k].numel()), 1.0);
      const std::vector<Values> first = analytic(k, seed), second = analytic(k, seed);
      for (size_t c = 0; c < checked_.size(); ++c)
        if (!same_bits(first[c], second[c]))
          return fail("output {}, input {}: the gradient differs between two backward passes", k,
                      checked_[c]);
    }
  }

  // seed^T J for each checked input; zeros where output k does not depend on it.
  std::vector<Values> analytic(size_t k, const Values& seed) const {
    std::vector<Values> gradients;
    for (const size_t i : checked_) gradients.emplace_back(static_cast<size_t>(inputs_[i].numel()), 0.0);
    if (!outputs_[k].requires_grad()) return gradients;
    Variables wanted;
    for (const size_t i : checked_) wanted.push_back(inputs_[i]);
    const Variables found =
        autograd::grad({outputs_[k]}, wanted, {Variable(Tensor::from(seed, outputs_[k].shape()))},
                       /*retain_graph=*/true, /*create_graph=*/false,
                       /*allow_unused=*/true);
    for (size_t c = 0; c < found.size(); ++c)
      if (found[c].defined()) gradients[c] = values_of(found[c]);
    return gradients;
  }

  // (f(x + eps u) - f(x - eps u)) / (2 eps) for output k, with u in input i.
  template <class Step>
  Values difference(size_t k, size_t i, Step step) const {
    const NoGrad guard;
    Variable input = inputs_[i];
    const Tensor saved = input.data().clone();
    step(input.mutable_data(), options_.eps);
    const Values above = values_of(f_(inputs_)[k]);
    input.mutable_data().copy_(saved);
    step(input.mutable_data(), -options_.eps);
    const Values below = values_of(f_(inputs_)[k]);
    input.mutable_data().copy_(saved);
    Values d(above.size());
    for (size_t e = 0; e < d.size(); ++e) d[e] = (above[e] - below[e]) / (2 * options_.eps);
    return d;
  }

  // A fresh graph: the differences have changed the inputs in place since the last.
  void check_elements(size_t k) {
    outputs_ = f_(inputs_);
    const Shape& shape = outputs_[k].shape();
    const auto m = static_cast<size_t>(outputs_[k].numel());
    std::vector<std::vector<Values>> rows;  // [output element][checked input]
    for (size_t e = 0; e < m; ++e) {
      Values seed(m, 0.0);
      seed[e] = 1;
      rows.push_back(analytic(k, seed));
    }
    for (size_t c = 0; c < checked_.size() && result_.ok; ++c) {
      const size_t i = checked_[c];
      const int64_t n = inputs_[i].numel();
      double worst = 0, worst_analytic = 0, worst_numeric = 0;
      int64_t wrong = 0, worst_out = 0, worst_in = 0;
      for (int64_t j = 0; j < n; ++j) {
        const Values numeric = difference(
            k, i, [&](Tensor& x, double eps) { x.mutable_data<double>()[offset_of(j, x)] += eps; });
        for (size_t e = 0; e < m; ++e) {
          const double a = rows[e][c][static_cast<size_t>(j)], error = std::abs(a - numeric[e]);
          if (error <= tolerance(numeric[e])) {
            result_.worst_error = std::max(result_.worst_error, error);
            continue;
          }
          // NaN counts as infinitely wrong.
          const double excess = std::isnan(error) ? INFINITY : error / tolerance(numeric[e]);
          result_.worst_error = std::max(result_.worst_error, std::isnan(error) ? INFINITY : error);
          ++wrong;
          if (excess <= worst) continue;
          worst = excess;
          worst_analytic = a;
          worst_numeric = numeric[e];
          worst_out = static_cast<int64_t>(e);
          worst_in = j;
        }
      }
      if (wrong > 0)
        fail(
            "output {}, input {}: {} of {} derivatives are wrong; the worst is d output{} / d input{}: "
            "analytic {:.9g}, numeric {:.9g}",
            k, i, wrong, n * static_cast<int64_t>(m), index_text(worst_out, shape),
            index_text(worst_in, inputs_[i].shape()), worst_analytic, worst_numeric);
    }
  }

  void check_directions(size_t k) {
    outputs_ = f_(inputs_);
    tensor::Generator generator(options_.seed);
    const Values v = random_unit(outputs_[k].numel(), generator);
    const std::vector<Values> gradients = analytic(k, v);
    for (size_t c = 0; c < checked_.size(); ++c) {
      const size_t i = checked_[c];
      const Values u = random_unit(inputs_[i].numel(), generator);
      const double a = dot(gradients[c], u);
      const double numeric = dot(v, difference(k, i, [&](Tensor& x, double eps) {
                                   double* data = x.mutable_data<double>();
                                   for (size_t j = 0; j < u.size(); ++j)
                                     data[offset_of(static_cast<int64_t>(j), x)] += eps * u[j];
                                 }));
      const double error = std::abs(a - numeric);
      result_.worst_error = std::max(result_.worst_error, std::isnan(error) ? INFINITY : error);
      if (error <= tolerance(numeric, sum_abs(u) * sum_abs(v))) continue;
      check_elements(k);  // for the place
      if (result_.ok)
        fail("output {}, input {}: along a random direction (seed {}): analytic {:.9g}, numeric {:.9g}", k, i,
             options_.seed, a, numeric);
      return;
    }
  }

  const GradcheckFunction& f_;
  const Variables& inputs_;
  const GradcheckOptions& options_;
  std::vector<size_t> checked_;  // numbers of the inputs that require a gradient
  Variables outputs_;
  GradcheckResult result_;
};

}  // namespace

GradcheckResult gradcheck(const GradcheckFunction& f, const Variables& inputs,
                          const GradcheckOptions& options) {
  const GradMode guard(true);
  return Checker(f, inputs, options).run();
}

GradcheckResult gradgradcheck(const GradcheckFunction& f, const Variables& inputs, const Variables& gradients,
                              const GradcheckOptions& options) {
  const GradMode guard(true);
  Variables seeds = gradients;
  if (seeds.empty()) {
    tensor::Generator generator(options.seed);
    for (const Variable& output : f(inputs)) {
      check(output.defined() && output.dtype() == DType::f64, ErrorKind::dtype,
            "gradcheck: every output has to be f64 for second derivatives");
      Tensor seed = Tensor::empty(output.shape(), DType::f64);
      fill_normal(seed, 0, 1, generator);
      seeds.emplace_back(seed, true);
    }
  }
  Variables all = inputs;
  all.insert(all.end(), seeds.begin(), seeds.end());
  const auto derivative = [&](const Variables& in) {
    const GradMode on(true);
    const auto n = static_cast<std::ptrdiff_t>(inputs.size());
    const Variables x(in.begin(), in.begin() + n), g(in.begin() + n, in.end());
    Variables wanted;
    for (const Variable& input : x)
      if (input.requires_grad()) wanted.push_back(input);
    Variables used, used_gradients;
    const Variables outputs = f(x);
    for (size_t k = 0; k < outputs.size(); ++k)
      if (outputs[k].requires_grad()) used.push_back(outputs[k]), used_gradients.push_back(g[k]);
    check(!used.empty(), ErrorKind::autograd, "gradcheck: no output of f requires a gradient");
    Variables found = autograd::grad(used, wanted, used_gradients, true, true, true);
    for (size_t i = 0; i < found.size(); ++i)
      if (!found[i].defined()) found[i] = Tensor::zeros(wanted[i].shape(), DType::f64);
    return found;
  };
  return gradcheck(derivative, all, options);
}

}  // namespace autograd
