// A scalar graph twice: its derivatives by hand, with the chain rule step by step, and by the engine.
//
//   loss = (tanh(w x + b) - target)^2
#include <fmt/core.h>

#include <cmath>

#include "autograd/ops.h"

using autograd::Variable;
using tensor::DType;
using tensor::Tensor;

namespace {

struct Gradients {
  double w = 0, x = 0, b = 0;
};

Gradients by_hand(double w, double x, double b, double target) {
  const double y = std::tanh(w * x + b);  // forward
  const double dy = 2 * (y - target);     // backward: d loss / d y
  const double dsum = dy * (1 - y * y);   // d tanh(s) / d s = 1 - tanh(s)^2
  return {.w = dsum * x, .x = dsum * w, .b = dsum};
}

Gradients by_engine(double w, double x, double b, double target) {
  const auto leaf = [](double value) { return Variable(Tensor::scalar(value, DType::f64), true); };
  const Variable vw = leaf(w), vx = leaf(x), vb = leaf(b);
  const Variable loss = square(tanh(vw * vx + vb) - target);
  loss.backward();
  return {.w = vw.grad().item(), .x = vx.grad().item(), .b = vb.grad().item()};
}

bool row(const char* name, double hand, double engine) {
  fmt::print("d loss / d {}   by hand {:+.15f}   by the engine {:+.15f}\n", name, hand, engine);
  return std::fabs(hand - engine) <= 1e-14 * std::fabs(hand);
}

}  // namespace

int main() {
  const Gradients hand = by_hand(0.7, -1.3, 0.2, 0.5), engine = by_engine(0.7, -1.3, 0.2, 0.5);
  bool equal = row("w", hand.w, engine.w);
  equal &= row("x", hand.x, engine.x);
  equal &= row("b", hand.b, engine.b);
  fmt::print("{}\n", equal ? "equal" : "NOT equal");
  return equal ? 0 : 1;
}
