// Writing an op of one's own and checking its derivative. The op is softsign, y = x / (1 + |x|), with
// dy/dx = 1 / (1 + |x|)^2; the second one has a mistake in the derivative, which the check has to find.
#include <fmt/core.h>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "autograd/testing/gradcheck.h"

using namespace autograd;

namespace {

class SoftsignBackward final : public Node {
 public:
  SoftsignBackward(const Variable& x, double exponent) : Node("softsign"), exponent_(exponent) { save(x); }
  Variables apply(const Variables& g) override { return {g[0] / pow(abs(saved(0)) + 1, exponent_)}; }

 private:
  double exponent_;
};

// `exponent` 2 is right.
Variable softsign(const Variable& x, double exponent = 2) {
  // The forward pass works on the data alone: what the engine needs to know is in the node.
  const Variable data = x.detach();
  return record<SoftsignBackward>((data / (abs(data) + 1)).data(), {x}, x, exponent);
}

}  // namespace

int main() {
  // The check, in three lines: an input in float64, the op, the verdict.
  const Variable x(Tensor::from<double>({-2, -0.5, 0.3, 1, 4, 9}, {2, 3}), true);
  const auto result = gradcheck([](const Variables& in) { return Variables{softsign(in[0])}; }, {x});
  fmt::print("softsign: {} (worst error {:.1e})\n", result.ok ? "ok" : result.message, result.worst_error);

  const auto second = gradgradcheck([](const Variables& in) { return Variables{softsign(in[0])}; }, {x});
  fmt::print("its second derivative: {}\n", second.ok ? "ok" : second.message);

  const auto wrong = gradcheck([](const Variables& in) { return Variables{softsign(in[0], 3)}; }, {x});
  fmt::print("with a wrong exponent: {}\n", wrong.ok ? "NOT noticed" : wrong.message);
  return result.ok && second.ok && !wrong.ok ? 0 : 1;
}
