#include "autograd/ops/common.h"

namespace autograd {
namespace {

struct Mask {
  double p;
  uint64_t seed, offset;
};

// y = x m / (1 - p), linear in x: dx = g m / (1 - p). The mask m is made again from seed and offset.
Variable apply_mask(const Variable& x, const Mask& mask) {
  Tensor out = empty_like(x.data(), x.shape());
  tensor::kernels::dropout(out, x.data().contiguous(), mask.p, mask.seed, mask.offset);
  return record_unary("dropout", out, x, [mask](const Variable& g) { return apply_mask(g, mask); });
}

}  // namespace

Variable dropout(const Variable& x, double p, bool train, tensor::Generator& generator) {
  expect_floats("dropout", {&x});
  check(p >= 0 && p <= 1, ErrorKind::argument, "dropout: the probability {} is not between 0 and 1", p);
  if (!train || p == 0) return x;
  const auto [seed, offset] = generator.take(static_cast<uint64_t>((x.numel() + 3) / 4));
  return apply_mask(x, {p, seed, offset});
}

}  // namespace autograd
