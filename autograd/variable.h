// A tensor that remembers how it was computed.
#pragma once

#include <memory>
#include <vector>

#include "autograd/grad_mode.h"
#include "tensor/tensor.h"

namespace autograd {

using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Shape;
using tensor::Tensor;

class Node;
class Variable;
using Variables = std::vector<Variable>;

// Where a gradient goes: to input number `input` of `node` (an output number of the forward op). No node:
// nowhere.
struct Edge {
  std::shared_ptr<Node> node;
  int input = 0;
};

// A handle: copies share data, gradient and history. A leaf (made from a tensor) accumulates into grad(); a
// result of an op has a grad_fn instead.
class Variable {
 public:
  Variable() = default;  // undefined
  // Implicit, so that plain tensors can be arguments of ops. Only floating types may require a gradient.
  Variable(Tensor data, bool requires_grad = false);  // NOLINT(google-explicit-constructor)

  bool defined() const { return impl_ != nullptr; }
  const Tensor& data() const;
  // The tensor, for changing it in place outside of the graph (an optimiser, an initialisation), or for
  // putting another in its place. A backward pass that needs what it was throws.
  Tensor& mutable_data();
  const Shape& shape() const { return data().shape(); }
  int rank() const { return data().rank(); }
  int64_t size(int dim) const { return data().size(dim); }
  int64_t numel() const { return data().numel(); }
  DType dtype() const { return data().dtype(); }
  Device device() const { return data().device(); }
  double item() const { return data().item(); }

  bool requires_grad() const;
  // Leaves only: an autograd error for a result of an op.
  void set_requires_grad(bool requires_grad);
  bool is_leaf() const;
  // Whether an optimiser has, or had, this leaf.
  bool optimised() const;
  void set_optimised();
  // What backward has accumulated; undefined before the first backward and after zero_grad. Contiguous, and
  // nobody else's memory: backward adds to it in place unless somebody holds its tensor, who then keeps what
  // they have. Part of a graph itself only when backward was called with create_graph. Several threads may
  // call backward on graphs that share this leaf, and nothing is lost; to look at grad(), to set it or to
  // zero it while one does is the caller's mistake.
  const Variable& grad() const;
  void set_grad(Variable grad);
  void zero_grad() { set_grad({}); }

  // The node that computes this variable's gradient, or null.
  const std::shared_ptr<Node>& grad_fn() const;
  // Where a gradient of this variable goes: its grad_fn, its accumulator, or nowhere.
  Edge gradient_edge() const;
  // The same data with no history.
  Variable detach() const { return defined() ? Variable(data()) : Variable(); }

  // Computes the gradients of all leaves that this variable depends on and adds them to grad(). `gradient`
  // may be left out for one element (1 is meant). See engine.h for the flags, and for what has to be done
  // after create_graph.
  void backward(const Variable& gradient = {}, bool retain_graph = false, bool create_graph = false) const;

  // Whether both are copies of one variable. Their values are not looked at, and there is no ==, which could
  // mean either.
  bool is(const Variable& other) const { return impl_ == other.impl_; }
  bool operator==(const Variable& other) const = delete;

  struct Impl;

 private:
  friend class AccumulateGrad;
  friend Variable make_output(Tensor data, std::shared_ptr<Node> node, int number);
  explicit Variable(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace autograd
