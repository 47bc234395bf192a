#include "autograd/engine.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "autograd/autocast.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "tensor/error.h"

namespace autograd {
namespace {

using tensor::check;

// What the engine knows of a node while it runs.
struct Task {
  int dependencies = 0;  // nodes that still have to run before this one
  Variables gradients;   // of its outputs, summed so far
};

struct LaterFirst {
  bool operator()(const Node* a, const Node* b) const { return a->sequence_nr() < b->sequence_nr(); }
};

struct Capture {
  int output = 0;     // of the node
  size_t result = 0;  // where grad() wants it
};

class Engine {
 public:
  Engine(bool retain_graph, bool create_graph)
      : retain_graph_(retain_graph || create_graph), create_graph_(create_graph) {}

  void add_root(const Variable& output, const Variable& gradient) {
    check(output.requires_grad(), ErrorKind::autograd,
          "backward: {} does not depend on anything that requires a gradient",
          output.defined() ? tensor::describe(output.data()).text() : "an undefined variable");
    Variable seed = gradient;
    if (!seed.defined()) {
      check(output.numel() == 1, ErrorKind::autograd,
            "backward: {} has more than one element; reduce it to a scalar or give its gradient",
            tensor::describe(output.data()));
      seed = Tensor::full(output.shape(), 1.0, output.dtype(), output.device());
    }
    check(seed.shape() == output.shape(), ErrorKind::shape, "backward: a gradient {} for an output {}",
          seed.shape(), output.shape());
    check(seed.dtype() == output.dtype(), ErrorKind::dtype, "backward: a gradient {} for an output {}",
          tensor::describe(seed.data()), tensor::describe(output.data()));
    const Edge edge = output.gradient_edge();
    roots_.push_back(edge.node);
    seeds_.push_back(seed.data());
    accumulate(edge, seed);
  }

  void capture(const Variable& input, size_t result) {
    const Edge edge = input.gradient_edge();
    check(edge.node != nullptr, ErrorKind::autograd, "grad: input {} does not require a gradient", result);
    captures_[edge.node.get()].push_back({edge.input, result});
    captured_nodes_.push_back(edge.node);
    capturing_ = true;
  }

  void run(Variables& captured) {
    count_dependencies();
    std::priority_queue<Node*, std::vector<Node*>, LaterFirst> ready;
    for (const std::shared_ptr<Node>& root : roots_)
      if (tasks_[root.get()].dependencies == 0 && queued_[root.get()]++ == 0) ready.push(root.get());
    const GradMode mode(create_graph_);
    const AutocastGuard exact = AutocastGuard::off();  // gradients have the types of the forward pass
    while (!ready.empty()) {
      Node* node = ready.top();
      ready.pop();
      Variables gradients = std::move(tasks_[node].gradients);
      gradients.resize(std::max<size_t>(1, node->output_metas().size()));
      if (const auto found = captures_.find(node); found != captures_.end())
        for (const Capture& c : found->second) {
          const Variable& gradient = gradients[static_cast<size_t>(c.output)];
          captured[c.result] = create_graph_ ? gradient : gradient.detach();
        }
      Variables results = apply(*node, std::move(gradients));
      const std::vector<Edge>& edges = node->next_edges();
      for (size_t i = 0; i < edges.size(); ++i) {
        Node* next = edges[i].node.get();
        if (next == nullptr) continue;
        if (!results.empty()) {  // else no gradient had reached this node
          check(results[i].defined(), ErrorKind::internal, "{}: backward gave no gradient for input {}",
                node->name(), i);
          accumulate(edges[i], checked(*node, i, results[i]));
        }
        if (--tasks_[next].dependencies == 0) ready.push(next);
      }
    }
  }

 private:
  Variables apply(Node& node, Variables gradients) {
    const bool any =
        std::any_of(gradients.begin(), gradients.end(), [](const Variable& g) { return g.defined(); });
    if (!any) return {};
    const bool is_accumulator = node.next_edges().empty();
    if (is_accumulator && capturing_) return {};  // grad() leaves the leaves' own gradients alone
    const Scope scope(node.scope_path());
    for (Observer* o = internal::observers; o != nullptr; o = o->next()) o->backward_begins(node);
    // A leaf's node has saved nothing, and graphs of several threads share it.
    if (!is_accumulator) node.begin_pass(!retain_graph_);
    Variables results = node.apply(gradients);
    for (Observer* o = internal::observers; o != nullptr; o = o->next())
      o->backward_ended(node, gradients, results);
    if (is_accumulator) return {};
    check(results.size() == node.next_edges().size(), ErrorKind::internal,
          "{}: backward gave {} gradients for {} inputs", node.name(), results.size(),
          node.next_edges().size());
    if (!retain_graph_) node.release_saved();
    return results;
  }

  // The gradient of input `i` as its forward tensor wants it.
  static Variable checked(const Node& node, size_t i, const Variable& gradient) {
    const TensorMeta& meta = node.input_metas()[i];
    check(gradient.dtype() == meta.dtype && gradient.device() == meta.device, ErrorKind::internal,
          "{}: the gradient of input {} is {} on {}, but the input was {} on {}", node.name(), i,
          tensor::name_of(gradient.dtype()), to_string(gradient.device()), tensor::name_of(meta.dtype),
          to_string(meta.device));
    return gradient.shape() == meta.shape ? gradient : sum_to(gradient, meta.shape);
  }

  void accumulate(const Edge& edge, const Variable& gradient) {
    Variables& sums = tasks_[edge.node.get()].gradients;
    const auto k = static_cast<size_t>(edge.input);
    if (sums.size() <= k) sums.resize(std::max(k + 1, edge.node->output_metas().size()));
    sums[k] = sums[k].defined() ? add(sums[k], gradient) : gradient;
  }

  void count_dependencies() {
    std::vector<Node*> stack;
    std::unordered_map<Node*, bool> seen;
    for (const std::shared_ptr<Node>& root : roots_)
      if (!seen[root.get()]) seen[root.get()] = true, stack.push_back(root.get());
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      for (const Edge& edge : node->next_edges()) {
        if (!edge.node) continue;
        ++tasks_[edge.node.get()].dependencies;
        bool& visited = seen[edge.node.get()];
        if (!visited) visited = true, stack.push_back(edge.node.get());
      }
    }
  }

  bool retain_graph_, create_graph_, capturing_ = false;
  std::vector<std::shared_ptr<Node>> roots_, captured_nodes_;
  std::vector<Tensor> seeds_;  // shared, so that no leaf takes the caller's own tensor for its grad()
  std::unordered_map<Node*, Task> tasks_;
  std::unordered_map<Node*, int> queued_;
  std::unordered_map<Node*, std::vector<Capture>> captures_;
};

void add_roots(Engine& engine, const Variables& outputs, const Variables& gradients) {
  check(gradients.empty() || gradients.size() == outputs.size(), ErrorKind::argument,
        "backward: {} gradients for {} outputs", gradients.size(), outputs.size());
  const GradMode mode(false);
  for (size_t i = 0; i < outputs.size(); ++i)
    engine.add_root(outputs[i], gradients.empty() ? Variable() : gradients[i]);
}

}  // namespace

void backward(const Variables& outputs, const Variables& gradients, bool retain_graph, bool create_graph) {
  Engine engine(retain_graph, create_graph);
  add_roots(engine, outputs, gradients);
  Variables none;
  engine.run(none);
}

Variables grad(const Variables& outputs, const Variables& inputs, const Variables& gradients,
               bool retain_graph, bool create_graph, bool allow_unused) {
  Engine engine(retain_graph, create_graph);
  add_roots(engine, outputs, gradients);
  for (size_t i = 0; i < inputs.size(); ++i) engine.capture(inputs[i], i);
  Variables captured(inputs.size());
  engine.run(captured);
  for (size_t i = 0; i < inputs.size() && !allow_unused; ++i)
    check(captured[i].defined(), ErrorKind::autograd, "grad: the outputs do not depend on input {} {}", i,
          tensor::describe(inputs[i].data()));
  return captured;
}

}  // namespace autograd
