// For an op of your own, outside of autograd/: a fused kernel that becomes one node of the graph. What a
// backward node is stands in node.h; here is what its public function needs besides. docs/adding_an_op.md has
// the walk, imgcap/models/decoder_sequence/ a large example, and this is a whole one, x e^x:
//
//   class TimesExpBackward final : public autograd::OnceDifferentiable {
//    public:
//     explicit TimesExpBackward(const Variable& x) : OnceDifferentiable("times_exp"), x_(save(x)) {}
//     // dx = g (1 + x) e^x
//     std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
//       const Tensor x = saved(x_).data();
//       Tensor dx = autograd::empty_like(x, x.shape());
//       ...  // plain loops or tensor::kernels, from x and gradients[0] into dx
//       return {dx};
//     }
//
//    private:
//     int x_;  // the name of what was saved
//   };
//
//   Variable times_exp(const Variable& x) {
//     autograd::expect_floats("times_exp", {&x});  // typed errors that name the op
//     Tensor out = autograd::empty_like(x.data(), x.shape());
//     ...
//     return autograd::record<TimesExpBackward>(out, {x}, x);  // {x}: the inputs, in the gradients' order
//   }
//
// record() makes the node only where an input requires a gradient; record_all() is for several outputs. Save
// each input that backward reads by save(), own outputs by save_output(), and buffers as save(buffer): they
// are freed after the backward pass, and a change in place since is noticed. A node derived from Node, whose
// apply() is made of ops, can be differentiated twice. autocast.h has the policies of mixed precision,
// autograd/testing/op_suite.h the checks that an op's record goes through.
#pragma once

#include <initializer_list>
#include <type_traits>

#include "autograd/autocast.h"
#include "autograd/node.h"
#include "autograd/variable.h"
#include "tensor/error.h"

namespace autograd {

// A new tensor of x's type and device, not yet written.
inline Tensor empty_like(const Tensor& x, const Shape& shape) {
  return Tensor::empty(shape, x.dtype(), x.device());
}

// A 0-dimensional constant that broadcasts.
inline Tensor constant(double value, const Tensor& like) {
  return Tensor::full({}, value, like.dtype(), like.device());
}

// Errors, unless all inputs are defined, of one floating type and on one device: dtype, device.
inline void expect_floats(const char* op, std::initializer_list<const Variable*> inputs) {
  const Tensor& first = (*inputs.begin())->data();
  tensor::check(tensor::is_floating(first.dtype()), ErrorKind::dtype, "{}: a floating type is needed, not {}",
                op, tensor::describe(first));
  for (const Variable* input : inputs) {
    tensor::check(input->dtype() == first.dtype(), ErrorKind::dtype,
                  "{}: {} and {} do not mix; convert one with to()", op, tensor::describe(first),
                  tensor::describe(input->data()));
    tensor::expect_same_device(first, input->data(), op);
  }
}

// Errors: device, unless all of `others`, variables and tensors, are where `first` is; undefined ones do not
// count.
template <class... Others>
void expect_one_device(const char* op, const Variable& first, const Others&... others) {
  const auto expect = [&](const auto& other) {
    if (!other.defined()) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(other)>, Variable>)
      tensor::expect_same_device(first.data(), other.data(), op);
    else
      tensor::expect_same_device(first.data(), other, op);
  };
  (expect(others), ...);
}

}  // namespace autograd
