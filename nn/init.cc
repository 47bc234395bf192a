#include "nn/init.h"

#include <cmath>

#include "tensor/error.h"

namespace nn {

namespace {
thread_local int skipping = 0;
}

SkipInit::SkipInit() { ++skipping; }
SkipInit::~SkipInit() { --skipping; }

}  // namespace nn

namespace nn::init {

Fans fans(const Shape& weight) {
  tensor::check(weight.rank() >= 2, tensor::ErrorKind::shape,
                "init: a weight of {} has no fans, two dimensions are needed", to_string(weight));
  int64_t field = 1;
  for (int d = 2; d < weight.rank(); ++d) field *= weight[d];
  return {weight[1] * field, weight[0] * field};
}

void constant(Tensor& t, double value) { t.fill_(value); }

void uniform(Tensor& t, double low, double high, Generator& generator) {
  if (skipping == 0) tensor::fill_uniform(t, low, high, generator);
}

void normal(Tensor& t, double mean, double stddev, Generator& generator) {
  if (skipping == 0) tensor::fill_normal(t, mean, stddev, generator);
}

void xavier_uniform(Tensor& weight, Generator& generator) {
  const Fans f = fans(weight.shape());
  const double bound = std::sqrt(6.0 / static_cast<double>(f.in + f.out));
  uniform(weight, -bound, bound, generator);
}

void kaiming_uniform(Tensor& weight, double a, Generator& generator) {
  const double gain = std::sqrt(2.0 / (1 + a * a));
  const double bound = gain * std::sqrt(3.0 / static_cast<double>(fans(weight.shape()).in));
  uniform(weight, -bound, bound, generator);
}

void kaiming_normal_fan_out(Tensor& weight, Generator& generator) {
  normal(weight, 0, std::sqrt(2.0 / static_cast<double>(fans(weight.shape()).out)), generator);
}

void default_weight(Tensor& weight, Generator& generator) {
  kaiming_uniform(weight, std::sqrt(5.0), generator);
}

void default_bias(Tensor& bias, const Tensor& weight, Generator& generator) {
  if (!bias.defined()) return;
  const double bound = 1 / std::sqrt(static_cast<double>(fans(weight.shape()).in));
  uniform(bias, -bound, bound, generator);
}

Tensor new_bias(const Tensor& weight, Generator& generator) {
  Tensor bias = Tensor::empty({weight.size(0)});
  default_bias(bias, weight, generator);
  return bias;
}

}  // namespace nn::init
