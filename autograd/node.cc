#include "autograd/node.h"

#include <atomic>

#include "autograd/variable_impl.h"
#include "tensor/error.h"

namespace autograd {

constinit thread_local Observer* internal::observers = nullptr;

namespace {

std::atomic<uint64_t> next_sequence_nr{0};
std::atomic<int64_t> live_nodes{0};

}  // namespace

void release_iteratively(std::shared_ptr<void> part) noexcept {
  if (!part) return;
  // Only the outermost call empties the queue; destructors that run inside it add to the queue and return.
  thread_local std::vector<std::shared_ptr<void>>* queue = nullptr;
  if (queue != nullptr) {
    queue->push_back(std::move(part));
    return;
  }
  std::vector<std::shared_ptr<void>> pending;
  queue = &pending;
  pending.push_back(std::move(part));
  while (!pending.empty()) {
    std::shared_ptr<void> last = std::move(pending.back());
    pending.pop_back();
    last.reset();
  }
  queue = nullptr;
}

int64_t live_node_count() { return live_nodes.load(std::memory_order_relaxed); }

Node::Node(std::string_view name) : Node(name, next_sequence_nr.fetch_add(1)) {}

Node::Node(std::string_view name, uint64_t sequence_nr)
    : name_(name), sequence_nr_(sequence_nr), scope_(internal::current_path()) {
  live_nodes.fetch_add(1, std::memory_order_relaxed);
}

Node::~Node() {
  live_nodes.fetch_sub(1, std::memory_order_relaxed);
  for (Edge& edge : next_edges_) release_iteratively(std::move(edge.node));
}

void Node::set_inputs(const Variables& inputs) {
  next_edges_.reserve(inputs.size());
  input_metas_.reserve(inputs.size());
  for (const Variable& input : inputs) {
    next_edges_.push_back(input.gradient_edge());
    input_metas_.push_back(input.defined() ? TensorMeta(input.data()) : TensorMeta());
  }
}

void Node::add_output(const Tensor& output) { output_metas_.emplace_back(output); }

int Node::save(const Variable& input) {
  Saved& slot = saved_.emplace_back();
  if (input.defined()) {
    slot.input = input;
    if (input.requires_grad()) slot.data = input.data();
    slot.identity = TensorIdentity(input.data());
    slot.version = input.data().version();
  }
  return static_cast<int>(saved_.size()) - 1;
}

int Node::save_output(const Tensor& output, int number) {
  Saved& slot = saved_.emplace_back();
  slot.data = output;
  slot.number = number;
  slot.version = output.version();
  return static_cast<int>(saved_.size()) - 1;
}

Variable Node::saved(int i) const {
  tensor::check(
      !released_, ErrorKind::autograd,
      "{}: backward through this graph a second time, but what it saved was freed after the first; give the "
      "first backward retain_graph",
      name_);
  const Saved& slot = saved_[static_cast<size_t>(i)];
  const Tensor& data = slot.input.defined() ? slot.input.data() : slot.data;
  tensor::check(!slot.input.defined() || TensorIdentity(data) == slot.identity, ErrorKind::autograd,
                "{}: a variable that it saved for backward had a tensor {} and now has another one, {}; give "
                "it another (by mutable_data(), to() or a swap of averages) after backward",
                name_, slot.identity.meta, tensor::describe(data));
  tensor::check(
      data.version() == slot.version, ErrorKind::autograd,
      "{}: a tensor {} that it saved for backward was changed in place (version {}, now {}); clone it before "
      "the change, or change it after backward",
      name_, tensor::describe(data), slot.version, data.version());
  if (slot.input.defined() || !data.defined()) return slot.input;
  return make_output(data, const_cast<Node*>(this)->shared_from_this(), slot.number);
}

void Node::release_saved() {
  if (saved_.empty()) return;
  released_ = true;
  const std::vector<Saved> freed = std::move(saved_);
  saved_.clear();
}

bool Node::release_for_writing() {
  if (last_pass_) release_saved();
  return last_pass_;
}

Variables OnceDifferentiable::apply(const Variables& gradients) {
  tensor::check(!grad_enabled(), ErrorKind::autograd,
                "{}: can be differentiated once only; select the composed version for second derivatives",
                name());
  std::vector<Tensor> tensors;
  tensors.reserve(gradients.size());
  for (const Variable& gradient : gradients)
    tensors.push_back(gradient.defined() ? gradient.data() : Tensor());
  Variables results;
  for (Tensor& result : apply_once(tensors)) results.emplace_back(std::move(result));
  return results;
}

bool should_record(const Variables& inputs) {
  if (!grad_enabled()) return false;
  for (const Variable& input : inputs)
    if (input.requires_grad()) return true;
  return false;
}

}  // namespace autograd
