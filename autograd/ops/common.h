// What the files of ops/ share.
#pragma once

#include "autograd/custom_op.h"
#include "autograd/ops.h"

namespace autograd {

using tensor::BinaryOp;
using tensor::check;
using tensor::UnaryOp;

// --- arithmetic.cc
Tensor unary(const char* op, const Variable& x, UnaryOp kind);
// bool; shapes broadcast
Tensor compare(const Tensor& a, const Tensor& b, BinaryOp kind);
Tensor compare(const Tensor& a, double b, BinaryOp kind);
// x / divisor.
Tensor divided(const Tensor& x, double divisor);

// --- for ops of one input x, whose node needs no class of its own

// dx = derivative(g), or derivative(g, s) with the one thing that it saved.
template <class F>
class UnaryBackward final : public Node {
 public:
  UnaryBackward(const char* name, F derivative) : Node(name), derivative_(std::move(derivative)) {}
  UnaryBackward(const char* name, F derivative, const Variable& saved) : UnaryBackward(name, derivative) {
    save(saved);
  }
  UnaryBackward(const char* name, F derivative, const Tensor& result) : UnaryBackward(name, derivative) {
    save_output(result);
  }
  Variables apply(const Variables& g) override {
    if constexpr (std::is_invocable_v<F, const Variable&>)
      return {derivative_(g[0])};
    else
      return {derivative_(g[0], saved(0))};
  }

 private:
  F derivative_;
};

// `name` saves nothing: derivative(g).
template <class F>
Variable record_unary(const char* name, const Tensor& out, const Variable& x, F derivative) {
  return record<UnaryBackward<F>>(out, {x}, name, std::move(derivative));
}
// It saves a variable, mostly x: derivative(g, saved).
template <class F>
Variable record_saving(const char* name, const Tensor& out, const Variable& x, const Variable& saved,
                       F derivative) {
  return record<UnaryBackward<F>>(out, {x}, name, std::move(derivative), saved);
}
// It saves its result: derivative(g, y).
template <class F>
Variable record_saving_result(const char* name, const Tensor& y, const Variable& x, F derivative) {
  return record<UnaryBackward<F>>(y, {x}, name, std::move(derivative), y);
}

}  // namespace autograd
