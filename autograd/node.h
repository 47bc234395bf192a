// One step of a recorded graph: what an op's backward pass needs, and where its results go.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/observer.h"
#include "autograd/scope.h"
#include "autograd/variable.h"
#include "tensor/format.h"

namespace autograd {

// What a gradient has to look like: the engine checks it against the forward pass's tensor.
struct TensorMeta {
  TensorMeta() = default;
  explicit TensorMeta(const Tensor& x) : shape(x.shape()), dtype(x.dtype()), device(x.device()) {}

  Shape shape;
  DType dtype = DType::f32;
  Device device;

  bool operator==(const TensorMeta&) const = default;
  std::string text() const { return tensor::format("{} {}", shape, tensor::name_of(dtype)); }  // "(2, 3) f32"
};

// Which tensor it was, without its memory: equal for tensors that see one storage in the same way.
struct TensorIdentity {
  TensorIdentity() = default;
  explicit TensorIdentity(const Tensor& x)
      : meta(x), strides(x.strides()), offset(x.offset()), storage(x.storage_number()) {}

  TensorMeta meta;
  Shape strides;
  int64_t offset = 0;
  uint64_t storage = 0;

  bool operator==(const TensorIdentity&) const = default;
};

class Node : public std::enable_shared_from_this<Node> {
 public:
  explicit Node(std::string_view name);  // a string literal: the op's name
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  std::string_view name() const { return name_; }
  // Nodes that were recorded later run earlier.
  uint64_t sequence_nr() const { return sequence_nr_; }
  // The path of the module whose forward function recorded it, "decoder.lstm"; empty outside of modules.
  const std::string& scope() const { return scope_->path; }
  const internal::ScopePath* scope_path() const { return scope_; }
  const std::vector<Edge>& next_edges() const { return next_edges_; }
  const std::vector<TensorMeta>& input_metas() const { return input_metas_; }
  const std::vector<TensorMeta>& output_metas() const { return output_metas_; }

  // From the gradients of the outputs (undefined: none reached that output) to those of the inputs: undefined
  // only for inputs that need none. A gradient may still have the broadcast shape; the engine reduces it.
  // With create_graph this runs with grad mode on, so that what it computes is recorded.
  virtual Variables apply(const Variables& gradients) = 0;

  // For the engine, before apply(): whether no other backward pass through the graph follows.
  void begin_pass(bool last) { last_pass_ = last; }
  // Frees what was saved; a later use of it throws.
  void release_saved();

  // For record(): the op's inputs, and its outputs' shapes.
  void set_inputs(const Variables& inputs);
  void add_output(const Tensor& output);

 protected:
  Node(std::string_view name, uint64_t sequence_nr);

  // Saves an input with its version; returns its number for saved(). Undefined variables may be saved too.
  int save(const Variable& input);
  // Saves an own output (number `output`) without a reference to this node, which would be a cycle.
  int save_output(const Tensor& output, int number = 0);
  // What save number `i` kept. Errors: autograd (it was freed, changed in place or replaced by another tensor
  // since).
  Variable saved(int i) const;
  // For a node with large buffers, when apply() has got all that it reads by saved(): in a last pass frees what was
  // saved now, so that apply()'s own handles of the buffers are the only ones, which it may overwrite and drop
  // while it computes. Returns whether it did.
  bool release_for_writing();
  // Whether input number `i` needs a gradient.
  bool needs(int i) const { return next_edges_[static_cast<size_t>(i)].node != nullptr; }

 private:
  struct Saved {
    Variable input;  // undefined for an own output
    // The own output, or the tensor of an input that requires a gradient, which may itself be a gradient that
    // reaches a leaf: held, it is not taken for the leaf's own. Others are not: backward adds in place to a
    // leaf's gradient that nobody holds.
    Tensor data;
    TensorIdentity identity;  // of the input's tensor
    int number = 0;           // of the output
    uint64_t version = 0;     // of the storage when it was saved
  };

  std::string_view name_;
  uint64_t sequence_nr_;
  const internal::ScopePath* scope_;
  std::vector<Edge> next_edges_;
  std::vector<TensorMeta> input_metas_, output_metas_;
  std::vector<Saved> saved_;
  bool released_ = false, last_pass_ = false;
};

// The nodes that exist in the process: graphs that somebody still holds, and the accumulators of their
// leaves.
int64_t live_node_count();

// A node whose backward pass works on plain tensors (a fused kernel) and cannot be differentiated again:
// backward with create_graph through it throws.
class OnceDifferentiable : public Node {
 public:
  using Node::Node;
  Variables apply(const Variables& gradients) final;
  virtual std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) = 0;
};

// Adds what reaches a leaf to its grad().
class AccumulateGrad final : public Node {
 public:
  explicit AccumulateGrad(std::weak_ptr<Variable::Impl> leaf);
  Variables apply(const Variables& gradients) override;
  Variable leaf() const;  // undefined when it is gone

 private:
  static void add_recorded(Variable::Impl& leaf, const Variable& gradient, bool own);
  static void add_plain(Variable::Impl& leaf, const Tensor& gradient, bool own);

  std::weak_ptr<Variable::Impl> leaf_;
};

// --- for ops

// True when grad mode is on and an input requires a gradient.
bool should_record(const Variables& inputs);
// A variable whose gradient goes to output `number` of `node`.
Variable make_output(Tensor data, std::shared_ptr<Node> node, int number);

namespace internal {
inline void tell_op(const Node* node, const std::vector<Tensor>& outputs, const Variables& inputs) {
  for (Observer* o = observers; o != nullptr; o = o->next()) o->op(node, outputs, inputs);
}
}  // namespace internal

// The results of an op: plain variables, or, when a graph is recorded, outputs of a new node N(args...).
template <class N, class... Args>
Variables record_all(const std::vector<Tensor>& outputs, const Variables& inputs, Args&&... args) {
  Variables results;
  if (!should_record(inputs)) {
    for (const Tensor& output : outputs) results.emplace_back(output);
    internal::tell_op(nullptr, outputs, inputs);
    return results;
  }
  const std::shared_ptr<Node> node = std::make_shared<N>(std::forward<Args>(args)...);
  node->set_inputs(inputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    node->add_output(outputs[i]);
    results.push_back(make_output(outputs[i], node, static_cast<int>(i)));
  }
  internal::tell_op(node.get(), outputs, inputs);
  return results;
}

// The same for an op with one result.
template <class N, class... Args>
Variable record(const Tensor& output, const Variables& inputs, Args&&... args) {
  return record_all<N>({output}, inputs, std::forward<Args>(args)...)[0];
}

}  // namespace autograd
