#include "autograd/node.h"

#include <atomic>

#include "autograd/variable_impl.h"
#include "tensor/error.h"

namespace autograd {

constinit thread_local Observer* internal::observers = nullptr;

namespace {

std::atomic<uint64_t> next_sequence_nr{0};
std::atomic<int64_t> live_nodes{0};

// Of a saved input in place of an output's number: the node holds the tensor, or knows where it was. What
// requires no gradient may be a leaf's own gradient, and backward adds to that in place unless somebody holds
// its tensor.
constexpr int kHeld = -1, kSeen = -2;

// Shape, type and place of a tensor, whose memory is not kept.
Tensor without_memory(const Tensor& x) {
  static const std::shared_ptr<const void>* const nobody =
      new std::shared_ptr<const void>(std::make_shared<int>());
  return Tensor::wrap(x.device_raw(), x.shape(), x.dtype(), *nobody, x.device());
}

bool is_same_place(const Tensor& now, const Tensor& then) {
  return now.defined() && now.device_raw() == then.device_raw() && now.shape() == then.shape() &&
         now.dtype() == then.dtype();
}

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

bool is_same_view(const Tensor& a, const Tensor& b) {
  return a.shares_storage(b) && a.offset() == b.offset() && a.dtype() == b.dtype() &&
         a.shape() == b.shape() && a.strides() == b.strides();
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
    input_metas_.push_back(input.defined() ? TensorMeta{input.shape(), input.dtype(), input.device()}
                                           : TensorMeta{});
  }
}

void Node::add_output(const Tensor& output) {
  output_metas_.push_back({output.shape(), output.dtype(), output.device()});
}

int Node::save(const Variable& input) {
  Saved& slot = saved_.emplace_back();
  if (input.defined()) {
    slot.input = input;
    slot.version = input.data().version();
    slot.number = input.requires_grad() ? kHeld : kSeen;
    slot.data = input.requires_grad() ? input.data() : without_memory(input.data());
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
  if (!slot.data.defined()) return {};
  const Tensor& data = slot.input.defined() ? slot.input.data() : slot.data;
  if (slot.input.defined())
    tensor::check(
        slot.number == kHeld ? is_same_view(data, slot.data) : is_same_place(data, slot.data),
        ErrorKind::autograd,
        "{}: a variable that it saved for backward had a tensor {} and now has another one, {}; give it "
        "another (by mutable_data(), to() or a swap of averages) after backward",
        name_, tensor::describe(slot.data), tensor::describe(data));
  tensor::check(
      data.version() == slot.version, ErrorKind::autograd,
      "{}: a tensor {} that it saved for backward was changed in place (version {}, now {}); clone it before "
      "the change, or change it after backward",
      name_, tensor::describe(data), slot.version, data.version());
  if (slot.input.defined()) return slot.input;
  return make_output(slot.data, const_cast<Node*>(this)->shared_from_this(), slot.number);
}

Variable Node::gradient_or_zeros(const Variables& gradients, int i) const {
  const auto k = static_cast<size_t>(i);
  if (gradients[k].defined()) return gradients[k];
  return Tensor::zeros(output_metas_[k].shape, output_metas_[k].dtype, output_metas_[k].device);
}

void Node::release_saved() {
  if (saved_.empty()) return;
  released_ = true;
  const std::vector<Saved> freed = std::move(saved_);
  saved_.clear();
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

void reject_gradient(const char* op, const Variables& inputs) {
  tensor::check(!should_record(inputs), ErrorKind::autograd,
                "{}: has no backward pass; detach() its input or compute it under NoGrad", op);
}

}  // namespace autograd
