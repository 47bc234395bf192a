#include "nn/left_out.h"

#include <map>
#include <mutex>
#include <set>

#include "autograd/observer.h"
#include "tensor/fork.h"

namespace nn {
namespace {

using Modules = std::map<const Module*, LeftOut>;

std::mutex mutex;  // of what follows
[[maybe_unused]] const bool held = (tensor::internal::hold_at_fork(mutex), true);
// Never destroyed: static modules may go after it would have gone.
Modules& modules() {
  static Modules* const made = new Modules;
  return *made;
}

thread_local const Scope* innermost = nullptr;

}  // namespace

Scope::Scope(const Module& module)
    : autograd::Scope(module.scope_name()), module_(module), outer_(innermost) {
  if (outer_ != nullptr && module.name_.empty() && autograd::grad_enabled()) expect_child();
  innermost = this;
}

Scope::~Scope() { innermost = outer_; }

void Scope::expect_child() const {
  const Module* outermost = nullptr;
  for (const Scope* scope = outer_; scope != nullptr; scope = scope->outer_) outermost = &scope->module_;
  LeftOut left_out;
  for (const Variable& parameter : module_.parameters())
    if (parameter.requires_grad() && !parameter.optimised()) left_out.parameters.push_back(parameter);
  if (!left_out.parameters.empty()) left_out.others = outermost->parameters();
  std::set<const void*> known;  // copies of a variable share its tensor
  for (const Variable& parameter : left_out.others) known.insert(&parameter.data());
  std::erase_if(left_out.parameters, [&](const Variable& v) { return known.contains(&v.data()); });
  if (left_out.parameters.empty() || left_out.others.empty()) return internal::forget_left_out(module_);
  left_out.module = module_.describe();
  left_out.caller = autograd::internal::current_path()->parent->path;
  const std::string sentence = describe(left_out);
  {
    const std::lock_guard lock(mutex);
    std::swap(modules()[&module_], left_out);
  }
  for (autograd::Observer* o = autograd::internal::observers; o != nullptr; o = o->next())
    o->module_left_out(sentence);
}

std::vector<LeftOut> left_out_modules() {
  const std::lock_guard lock(mutex);
  std::vector<LeftOut> result;
  for (const auto& [module, left_out] : modules()) result.push_back(left_out);
  return result;
}

std::string describe(const LeftOut& left_out) {
  return tensor::format(
      "{} is called in {}, but it is no module's child, so that its parameters are not trained: make it with "
      "add() where it is called, or name it there with register_module()",
      left_out.module, left_out.caller);
}

void internal::forget_left_out(const Module& module) {
  Modules::node_type gone;  // when the lock is: it may hold the last handles of variables
  const std::lock_guard lock(mutex);
  gone = modules().extract(&module);
}

}  // namespace nn
