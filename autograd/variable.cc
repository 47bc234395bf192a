#include "autograd/variable.h"

#include <utility>

#include "autograd/engine.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "autograd/variable_impl.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace autograd {

using tensor::check;

Variable::Variable(Tensor data, bool requires_grad) {
  if (!data.defined()) return;
  impl_ = std::make_shared<Impl>();
  impl_->data = std::move(data);
  if (requires_grad) set_requires_grad(true);
}

Variable::Impl::~Impl() {
  release_iteratively(std::move(grad_fn));
  release_iteratively(std::move(grad.impl_));  // gradients may have gradients
}

const Tensor& Variable::data() const {
  check(defined(), ErrorKind::argument, "variable: it is undefined");
  return impl_->data;
}

Tensor& Variable::mutable_data() {
  check(defined(), ErrorKind::argument, "variable: it is undefined");
  return impl_->data;
}

bool Variable::requires_grad() const { return impl_ && (impl_->requires_grad || impl_->grad_fn); }

void Variable::set_requires_grad(bool requires_grad) {
  check(defined(), ErrorKind::argument, "requires_grad: the variable is undefined");
  check(is_leaf(), ErrorKind::autograd, "requires_grad: {} is a result of {}, not a leaf; detach() it first",
        tensor::describe(data()), impl_->grad_fn ? impl_->grad_fn->name() : "");
  check(!requires_grad || tensor::is_floating(dtype()), ErrorKind::dtype,
        "requires_grad: only floating types have gradients, not {}", tensor::describe(data()));
  impl_->requires_grad = requires_grad;
}

bool Variable::optimised() const { return impl_ && impl_->optimised.load(std::memory_order_relaxed); }

void Variable::set_optimised() {
  check(defined(), ErrorKind::argument, "optimised: the variable is undefined");
  impl_->optimised.store(true, std::memory_order_relaxed);
}

bool Variable::is_leaf() const { return !impl_ || !impl_->grad_fn; }

const Variable& Variable::grad() const {
  check(defined(), ErrorKind::argument, "grad: the variable is undefined");
  return impl_->grad;
}

void Variable::set_grad(Variable grad) {
  check(defined(), ErrorKind::argument, "grad: the variable is undefined");
  check(!grad.defined() || grad.shape() == shape(), ErrorKind::shape, "grad: a gradient {} for a variable {}",
        grad.defined() ? grad.shape() : Shape{}, shape());
  impl_->grad = std::move(grad);
}

const std::shared_ptr<Node>& Variable::grad_fn() const {
  static const std::shared_ptr<Node>* const none = new std::shared_ptr<Node>;  // never destroyed
  return impl_ ? impl_->grad_fn : *none;
}

// Before there are threads: see tensor/fork.h.
[[maybe_unused]] static const bool made_at_load = (Variable().grad_fn(), true);

Edge Variable::gradient_edge() const {
  if (!impl_) return {};
  if (impl_->grad_fn) return {impl_->grad_fn, impl_->output_number};
  if (!impl_->requires_grad) return {};
  const std::lock_guard lock(impl_->mutex);
  std::shared_ptr<Node> accumulator = impl_->accumulator.lock();
  if (!accumulator) {
    accumulator = std::make_shared<AccumulateGrad>(impl_);
    impl_->accumulator = accumulator;
  }
  return {std::move(accumulator), 0};
}

void Variable::backward(const Variable& gradient, bool retain_graph, bool create_graph) const {
  autograd::backward({*this}, {gradient}, retain_graph, create_graph);
}

Variable make_output(Tensor data, std::shared_ptr<Node> node, int number) {
  Variable variable(std::move(data));
  variable.impl_->grad_fn = std::move(node);
  variable.impl_->output_number = number;
  return variable;
}

AccumulateGrad::AccumulateGrad(std::weak_ptr<Variable::Impl> leaf)
    : Node("accumulate_grad", UINT64_MAX), leaf_(std::move(leaf)) {
  if (const auto impl = leaf_.lock()) add_output(impl->data);
}

Variable AccumulateGrad::leaf() const { return Variable(leaf_.lock()); }

Variables AccumulateGrad::apply(const Variables& gradients) {
  const std::shared_ptr<Variable::Impl> leaf = leaf_.lock();
  if (!leaf || !gradients[0].defined()) return {};
  const Variable& gradient = gradients[0];
  check(gradient.shape() == leaf->data.shape() && gradient.dtype() == leaf->data.dtype(), ErrorKind::autograd,
        "accumulate_grad: a gradient {} for a leaf that has another tensor since the forward pass, {}",
        tensor::describe(gradient.data()), tensor::describe(leaf->data));
  // The gradient is kept as it is when nobody else holds it; else two leaves could share one buffer, which an
  // in-place change (clipping) would then change twice.
  const bool own = gradient.data().is_unique() && gradient.data().is_contiguous();
  if (grad_enabled())  // create_graph
    add_recorded(*leaf, gradient, own);
  else
    add_plain(*leaf, gradient.data(), own);
  return {};
}

void AccumulateGrad::add_recorded(Variable::Impl& leaf, const Variable& gradient, bool own) {
  for (;;) {
    Variable old;
    Tensor held;  // so that no other thread adds to it in place meanwhile
    {
      const std::lock_guard lock(leaf.mutex);
      old = leaf.grad;
      if (old.defined()) held = old.data();
    }
    Variable sum = gradient;
    if (old.defined())
      sum = add(old, gradient);
    else if (!own)
      sum = affine(gradient, 1, 0);
    const std::lock_guard lock(leaf.mutex);
    if (!leaf.grad.is(old)) continue;  // another thread was faster
    std::swap(leaf.grad.impl_, sum.impl_);
    return;
  }
}

void AccumulateGrad::add_plain(Variable::Impl& leaf, const Tensor& gradient, bool own) {
  Variable old;  // destroyed after the lock is given back
  const std::lock_guard lock(leaf.mutex);
  if (!leaf.grad.defined()) {
    leaf.grad = Variable(own ? gradient : gradient.clone());
    return;
  }
  // A copy that is made and dropped: after that, what a thread that held the tensor did with it has happened.
  { const Tensor seen = leaf.grad.data(); }
  if (const Tensor& sum = leaf.grad.data(); sum.is_unique() && sum.is_contiguous() && !leaf.grad.grad_fn()) {
    tensor::kernels::add_inplace(leaf.grad.mutable_data(), gradient, 1.0);
    return;
  }
  Tensor sum = leaf.grad.data().clone();
  tensor::kernels::add_inplace(sum, gradient, 1.0);
  old = std::exchange(leaf.grad, Variable(std::move(sum)));
}

}  // namespace autograd
