#include "autograd/ops/common.h"

namespace autograd {
namespace {

// y = x m / (1 - p), linear in x: dx = g m / (1 - p). The mask m is made again from where its numbers begin, which is
// another place when the step is over.
Variable apply_mask(const Variable& x, const tensor::DropoutMask& mask) {
  Tensor out = empty_like(x.data(), x.shape());
  tensor::kernels::dropout(out, x.data().contiguous(), mask);
  return record_unary("dropout", out, x, [mask, version = mask.origin.version()](const Variable& g) {
    check(mask.origin.version() == version, ErrorKind::autograd,
          "dropout: backward comes after the end of the step whose random numbers these are");
    return apply_mask(g, mask);
  });
}

}  // namespace

Variable dropout(const Variable& x, double p, bool train, tensor::Generator& generator) {
  expect_floats("dropout", {&x});
  check(p >= 0 && p <= 1, ErrorKind::argument, "dropout: the probability {} is not between 0 and 1", p);
  if (!train || p == 0) return x;
  const auto [seed, offset, origin] = generator.draw(static_cast<uint64_t>((x.numel() + 3) / 4));
  return apply_mask(x, {p, seed, offset, origin});
}

}  // namespace autograd
