#include "nn/linear.h"

#include "autograd/ops.h"
#include "tensor/error.h"

namespace nn {
namespace {

Tensor new_weight(int64_t in, int64_t out, Generator& generator) {
  tensor::check(in > 0 && out > 0, ErrorKind::argument,
                "Linear: {} inputs and {} outputs, both have to be positive", in, out);
  Tensor weight = Tensor::empty({out, in});
  init::default_weight(weight, generator);
  return weight;
}

}  // namespace

Linear::Linear(int64_t in_features, int64_t out_features, bool bias, Generator& generator)
    : in_features_(in_features),
      out_features_(out_features),
      weight_(register_parameter("weight", new_weight(in_features, out_features, generator))),
      bias_(register_parameter("bias", bias ? init::new_bias(weight_.data(), generator) : Tensor())) {}

Variable Linear::forward(const Variable& x) { return autograd::linear(x, weight_, bias_); }

std::string Linear::describe() const {
  return tensor::format("Linear(in_features={}, out_features={}, bias={})", in_features_, out_features_,
                        bias_.defined() ? "True" : "False");
}

}  // namespace nn
