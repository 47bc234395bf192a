#include "nn/dropout.h"

#include "autograd/ops.h"
#include "tensor/error.h"

namespace nn {

Dropout::Dropout(double p, Generator& generator) : p_(p), generator_(&generator) {
  tensor::check(p >= 0 && p < 1, ErrorKind::argument, "Dropout: p has to be in [0, 1), not {}", p);
}

Variable Dropout::forward(const Variable& x) { return autograd::dropout(x, p_, training(), *generator_); }

std::string Dropout::describe() const { return tensor::format("Dropout(p={})", p_); }

}  // namespace nn
