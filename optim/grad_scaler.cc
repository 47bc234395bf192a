#include "optim/grad_scaler.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "tensor/error.h"
#include "tensor/fork.h"
#include "tensor/kernels.h"
#include "tensor/step_block.h"

namespace optim {

using autograd::Node;
using tensor::check;

namespace {

// All scalers, so that code that has only parameters can ask whether their gradients are scaled. The mutex is
// also that of their `scaled_`; nothing is recorded or destroyed, and no other lock taken, inside of it.
std::mutex registry_mutex;
[[maybe_unused]] const bool held = (tensor::internal::hold_at_fork(registry_mutex), true);
std::vector<const GradScaler*>& registry() {
  // Never destroyed: a static object's destructor may make a step.
  static std::vector<const GradScaler*>* const scalers = new std::vector<const GradScaler*>;
  return *scalers;
}

// The leaves that `root` depends on.
template <class Leaves>
void collect_leaves(const std::shared_ptr<Node>& root, Leaves& leaves) {
  std::vector<std::shared_ptr<Node>> stack = {root};
  std::set<const Node*> seen = {root.get()};
  while (!stack.empty()) {
    const std::shared_ptr<Node> node = std::move(stack.back());
    stack.pop_back();
    if (node->next_edges().empty()) leaves.insert(node);
    for (const autograd::Edge& edge : node->next_edges())
      if (edge.node && seen.insert(edge.node.get()).second) stack.push_back(edge.node);
  }
}

}  // namespace

GradScaler::GradScaler(const GradScalerOptions& options)
    : options_(options), scale_(options.enabled ? static_cast<float>(options.init_scale) : 1) {
  if (!options_.enabled) return;
  check(std::isfinite(scale_) && scale_ > 0, ErrorKind::argument,
        "GradScaler: the first scale has to be over 0 and finite in f32, not {}", options.init_scale);
  check(std::isfinite(options.growth_factor) && options.growth_factor > 1, ErrorKind::argument,
        "GradScaler: the growth factor has to be over 1, not {}", options.growth_factor);
  check(options.backoff_factor > 0 && options.backoff_factor < 1, ErrorKind::argument,
        "GradScaler: the backoff factor has to be between 0 and 1, not {}", options.backoff_factor);
  check(options.growth_interval >= 1, ErrorKind::argument,
        "GradScaler: the growth interval has to be at least 1, not {}", options.growth_interval);
  check(options.min_scale >= 0 && options.min_scale <= options.init_scale, ErrorKind::argument,
        "GradScaler: the least scale {} has to be from 0 to the first one, {}", options.min_scale,
        options.init_scale);
  const std::lock_guard lock(registry_mutex);
  registry().push_back(this);
}

GradScaler::~GradScaler() {
  const std::lock_guard lock(registry_mutex);
  std::erase(registry(), this);
}

Variable GradScaler::scale(const Variable& loss) {
  if (!options_.enabled) return loss;
  note_scaled(loss);
  return autograd::affine(loss, static_cast<double>(scale_), 0);
}

void GradScaler::note_scaled(const Variable& loss) {
  check(loss.defined() && loss.requires_grad(), ErrorKind::autograd,
        "GradScaler: the loss does not depend on anything that requires a gradient");
  Leaves leaves;
  collect_leaves(loss.gradient_edge().node, leaves);
  for (const std::shared_ptr<Node>& leaf : leaves)
    check(
        !unscaled_.contains(leaf), ErrorKind::autograd,
        "GradScaler: scale() of a loss whose parameters were unscaled already: its gradients would be added "
        "to theirs; scale and differentiate all losses before unscale_() or step(), or call update() first");
  const std::lock_guard lock(registry_mutex);
  scaled_.merge(leaves);
}

void GradScaler::unscale_(Optimizer& optimizer) {
  if (!options_.enabled) return;
  Gradients gradients = gradients_to_unscale(optimizer);
  // One look at all.
  Tensor bad = Tensor::empty({3}, tensor::DType::f64, gradients.tensors.front().device());
  tensor::kernels::first_not_finite(bad, gradients.tensors);
  const std::vector<double> found = bad.to_vector<double>();
  const double factor = static_cast<double>(static_cast<float>(1 / static_cast<double>(scale_)));
  for (Tensor& gradient : gradients.tensors) tensor::kernels::affine(gradient, gradient, factor, 0);
  note_unscaled(optimizer);
  const std::string text = gradients.name_bad(found[0], found[1], found[2]);
  if (text.empty()) return;
  optimizers_[&optimizer].found_inf = true;
  first_bad_ = text;
}

GradScaler::Gradients GradScaler::gradients_to_unscale(const Optimizer& optimizer) {
  const PerOptimizer& state = optimizers_[&optimizer];
  check(state.stage != Stage::unscaled, ErrorKind::autograd,
        "GradScaler: unscale_() a second time on one optimiser: the gradients would be divided twice; call "
        "update() first");
  check(state.stage != Stage::stepped, ErrorKind::autograd,
        "GradScaler: unscale_() after step(): call it before, or update() first");
  for (const ParameterGroup& group : optimizer.groups())
    for (const auto& [name, parameter] : group.parameters)
      check(!parameter.grad().defined() || !tensor::is_half(parameter.grad().dtype()), ErrorKind::dtype,
            "GradScaler: the gradient of '{}' is {}; keep parameters in f32 and let autocast lower them",
            name, tensor::describe(parameter.grad().defined() ? parameter.grad().data() : Tensor()));
  Gradients gradients;
  for (const ParameterGroup& group : optimizer.groups())
    for (const auto& [name, parameter] : group.parameters) {
      if (!parameter.grad().defined()) continue;
      const Tensor before = parameter.grad().data(), dense = before.contiguous();
      if (!before.shares_storage(dense)) Variable(parameter).set_grad(dense);
      gradients.tensors.push_back(dense);
      gradients.names.push_back(name);
    }
  check(!gradients.tensors.empty(), ErrorKind::autograd,
        "GradScaler: no parameter of the optimiser has a gradient; call backward() on scale(loss) first");
  return gradients;
}

std::string GradScaler::Gradients::name_bad(double tensor, double element, double value) const {
  if (tensor < 0) return {};
  const auto i = static_cast<size_t>(tensor);
  return tensor::format("{}: element {} of {} is {}", names[i], static_cast<int64_t>(element),
                        tensor::describe(tensors[i]), value);
}

void GradScaler::note_unscaled(const Optimizer& optimizer) {
  optimizers_[&optimizer].stage = Stage::unscaled;
  Leaves leaves;
  for (const Variable& parameter : optimizer.parameters()) {
    if (!parameter.requires_grad()) continue;
    const std::shared_ptr<Node>& leaf = *leaves.insert(parameter.gradient_edge().node).first;
    if (parameter.grad().defined()) unscaled_.insert(leaf);
  }
  const std::lock_guard lock(registry_mutex);
  for (const std::shared_ptr<Node>& leaf : leaves) scaled_.erase(leaf);
}

bool GradScaler::step(Optimizer& optimizer, double gradient_scale) {
  if (!options_.enabled) {
    optimizer.step(gradient_scale);
    return true;
  }
  PerOptimizer& state = optimizers_[&optimizer];
  check(state.stage != Stage::stepped, ErrorKind::autograd,
        "GradScaler: step() a second time on one optimiser; call update() first");
  if (state.stage == Stage::ready) unscale_(optimizer);
  state.stage = Stage::stepped;
  if (!state.found_inf) optimizer.step(gradient_scale);
  return !state.found_inf;
}

void GradScaler::update() {
  if (!options_.enabled) return;
  bool any = false;
  for (const auto& [optimizer, state] : optimizers_) any = any || state.stage != Stage::ready;
  check(any, ErrorKind::autograd, "GradScaler: update() before any step() or unscale_()");
  adjust(forget_step());
}

bool GradScaler::forget_step() {
  bool found = false;
  for (const auto& [optimizer, state] : optimizers_) found = found || state.found_inf;
  optimizers_.clear();
  unscaled_.clear();
  Leaves scaled;
  const std::lock_guard lock(registry_mutex);
  scaled.swap(scaled_);
  return found;
}

void GradScaler::adjust(bool found_inf) {
  skipped_ += found_inf;
  skipped_in_a_row_ = found_inf ? skipped_in_a_row_ + 1 : 0;
  const tensor::LossScale next =
      tensor::after_step({static_cast<double>(scale_), growth_tracker_}, found_inf,
                         {options_.growth_factor, options_.backoff_factor, options_.growth_interval});
  growth_tracker_ = next.growth;
  check(!found_inf || next.scale >= options_.min_scale, ErrorKind::data,
        "GradScaler: gradients still overflow at a loss scale of {} after {} skipped steps in a row ({}); "
        "scaling cannot help: try a lower learning rate, bf16 or f32",
        scale_, skipped_in_a_row_, first_bad_);
  scale_ = static_cast<float>(next.scale);
}

bool GradScaler::found_inf(const Optimizer& optimizer) const {
  const auto found = optimizers_.find(&optimizer);
  return found != optimizers_.end() && found->second.found_inf;
}

State GradScaler::state_dict() const {
  State state;
  if (!options_.enabled) return state;
  state.scalars["scale"] = static_cast<double>(scale_);
  state.scalars["growth_tracker"] = static_cast<double>(growth_tracker_);
  state.scalars["skipped"] = static_cast<double>(skipped_);
  state.scalars["skipped_in_a_row"] = static_cast<double>(skipped_in_a_row_);
  return state;
}

void GradScaler::load_state_dict(const State& state) {
  if (!options_.enabled) return;
  const auto scalar = [&](const char* key, bool whole) {
    const auto found = state.scalars.find(key);
    check(found != state.scalars.end(), ErrorKind::data, "GradScaler: the state has no '{}'", key);
    const double value = found->second;
    const bool fits = whole ? is_count(value) : value > 0 && std::isfinite(static_cast<float>(value));
    check(fits, ErrorKind::data, "GradScaler: '{}' of the state is {}", key, value);
    return value;
  };
  check(state.tensors.empty() && state.scalars.size() == 4, ErrorKind::data,
        "GradScaler: the state is not one of a scaler: it has {} tensors and {} numbers",
        state.tensors.size(), state.scalars.size());
  const double scale = scalar("scale", false), tracker = scalar("growth_tracker", true),
               skipped = scalar("skipped", true), in_a_row = scalar("skipped_in_a_row", true);
  scale_ = static_cast<float>(scale);
  growth_tracker_ = static_cast<int64_t>(tracker);
  skipped_ = static_cast<int64_t>(skipped);
  skipped_in_a_row_ = static_cast<int64_t>(in_a_row);
}

void expect_unscaled(const char* op, const Variables& parameters) {
  {
    const std::lock_guard lock(registry_mutex);
    if (std::ranges::all_of(registry(), [](const GradScaler* s) { return s->scaled_.empty(); })) return;
  }
  for (const Variable& parameter : parameters) {
    if (!parameter.requires_grad() || !parameter.grad().defined()) continue;
    const std::shared_ptr<Node> leaf = parameter.gradient_edge().node;
    std::optional<double> scale;
    {
      const std::lock_guard lock(registry_mutex);
      for (const GradScaler* scaler : registry())
        if (scaler->scaled_.contains(leaf)) scale = scaler->scale();
    }
    check(!scale, ErrorKind::autograd,
          "{}: the gradient {} still has the loss scale {} of a GradScaler; call unscale_(optimizer) on it "
          "first{}",
          op, tensor::describe(parameter.grad().data()), scale.value_or(1),
          std::string_view(op) == "step" ? ", or its step(optimizer) in place of the optimiser's" : "");
  }
}

}  // namespace optim
