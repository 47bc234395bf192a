#include "nn/module.h"

#include <algorithm>
#include <set>

#include "nn/left_out.h"
#include "tensor/error.h"
#include "tensor/finite.h"

namespace nn {

using tensor::check;
using tensor::fail;

namespace {

constexpr size_t kMostNames = 5;  // of a kind in one error: a wrong file can have hundreds

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMostNames); ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > kMostNames) text += tensor::format(" and {} more", names.size() - kMostNames);
  return text;
}

// Whether `state` may be copied into `own`: floating types convert into each other, others have to be the
// same.
bool fits(const Tensor& own, const Tensor& state) {
  if (!state.defined() || own.shape() != state.shape()) return false;
  return own.dtype() == state.dtype() ||
         (tensor::is_floating(own.dtype()) && tensor::is_floating(state.dtype()));
}

bool is_optional(const std::string& name) {
  constexpr std::string_view count = "num_batches_tracked";
  return name == count || name.ends_with(tensor::format(".{}", count));
}

}  // namespace

// --- registration

Module::~Module() { internal::forget_left_out(*this); }

void Module::expect_new_name(const std::string& name) const {
  check(!name.empty() && name.find('.') == std::string::npos, ErrorKind::argument,
        "register: '{}' is not a name: it must not be empty or have a dot", name);
  const auto has = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), [&](const auto& entry) { return entry.first == name; });
  };
  check(!has(parameters_) && !has(buffers_) && !has(children_), ErrorKind::argument,
        "register: the module already has a '{}'", name);
}

Variable& Module::register_parameter(const std::string& name, Tensor data) {
  const bool requires_grad = data.defined();
  return register_parameter(name, Variable(std::move(data), requires_grad));
}

Variable& Module::register_parameter(const std::string& name, Variable variable) {
  expect_new_name(name);
  check(variable.is_leaf(), ErrorKind::argument,
        "register: '{}' is a result of an op, not a leaf; detach() it first", name);
  return parameters_.emplace_back(name, std::move(variable)).second;
}

Tensor& Module::register_buffer(const std::string& name, Tensor data) {
  expect_new_name(name);
  return buffers_.emplace_back(name, std::move(data)).second;
}

void Module::add_child(const std::string& name, Module& child) {
  expect_new_name(name);
  check(&child != this, ErrorKind::argument, "register: '{}' is the module itself", name);
  children_.emplace_back(name, &child);
  if (child.name_.empty()) child.name_ = name;
  internal::forget_left_out(child);
  if (frozen_) child.freeze();
}

std::string Module::scope_name() const {
  if (!name_.empty()) return name_;
  const std::string line = describe();
  return line.substr(0, line.find('('));
}

// --- listings

void Module::collect(const std::string& prefix, std::vector<Entry>& entries) const {
  for (auto& [name, variable] : parameters_)
    if (variable.defined()) entries.push_back({prefix + name, &variable, nullptr});
  for (auto& [name, buffer] : buffers_)
    if (buffer.defined()) entries.push_back({prefix + name, nullptr, &buffer});
  for (const auto& [name, child] : children_) child->collect(prefix + name + ".", entries);
}

std::vector<Module::Entry> Module::entries() const {
  std::vector<Entry> entries;
  collect("", entries);
  return entries;
}

std::vector<std::pair<std::string, Variable>> Module::named_parameters(bool duplicates) const {
  std::vector<std::pair<std::string, Variable>> result;
  std::set<const void*>
      seen;  // the address of a variable's tensor is that of the variable that all copies share
  for (const Entry& entry : entries()) {
    if (!entry.parameter) continue;
    if (seen.insert(&entry.parameter->data()).second || duplicates)
      result.emplace_back(entry.name, *entry.parameter);
  }
  return result;
}

std::vector<std::pair<std::string, Tensor>> Module::named_buffers() const {
  std::vector<std::pair<std::string, Tensor>> result;
  std::set<const Tensor*> seen;
  for (const Entry& entry : entries())
    if (entry.buffer && seen.insert(entry.buffer).second) result.emplace_back(entry.name, *entry.buffer);
  return result;
}

void Module::for_each_tensor(const std::function<void(const Tensor&)>& f) const {
  for (const auto& [name, variable] : parameters_)
    if (variable.defined()) f(variable.data());
  for (const auto& [name, buffer] : buffers_)
    if (buffer.defined()) f(buffer);
  for (const auto& [name, child] : children_) child->for_each_tensor(f);
}

Variables Module::parameters() const {
  Variables result;
  for (auto& [name, variable] : named_parameters()) result.push_back(variable);
  return result;
}

std::vector<std::pair<std::string, Module*>> Module::named_modules() {
  std::vector<std::pair<std::string, Module*>> result;
  std::set<const Module*> seen;
  const std::function<void(const std::string&, Module&)> visit = [&](const std::string& name,
                                                                     Module& module) {
    if (!seen.insert(&module).second) return;
    result.emplace_back(name, &module);
    for (const auto& [child_name, child] : module.children_)
      visit(name.empty() ? child_name : name + "." + child_name, *child);
  };
  visit("", *this);
  return result;
}

Variable& Module::parameter(const std::string& name) {
  for (const Entry& entry : entries())
    if (entry.parameter && entry.name == name) return *entry.parameter;
  fail(ErrorKind::argument, "parameter: {} has no '{}'", describe(), name);
}

Tensor& Module::buffer(const std::string& name) {
  for (const Entry& entry : entries())
    if (entry.buffer && entry.name == name) return *entry.buffer;
  fail(ErrorKind::argument, "buffer: {} has no '{}'", describe(), name);
}

void Module::replace_parameter(const std::string& name, const Variable& shared) {
  Variable& own = parameter(name);
  check(shared.defined() && shared.is_leaf(), ErrorKind::argument,
        "replace_parameter: '{}': a leaf is needed", name);
  check(own.shape() == shared.shape(), ErrorKind::shape, "replace_parameter: '{}' is {}, the new variable {}",
        name, tensor::describe(own.data()), tensor::describe(shared.data()));
  check(own.dtype() == shared.dtype(), ErrorKind::dtype, "replace_parameter: '{}' is {}, the new variable {}",
        name, tensor::describe(own.data()), tensor::describe(shared.data()));
  own = shared;
}

int64_t Module::parameter_count(bool trainable) const {
  int64_t count = 0;
  for (const auto& [name, variable] : named_parameters())
    if (!trainable || variable.requires_grad()) count += variable.numel();
  return count;
}

// --- modes

void Module::train(bool on) {
  if (!frozen_) {
    training_ = on;
    mode_changed();
  }
  for (const auto& [name, child] : children_) child->train(on);
}

void Module::freeze() {
  apply([](Module& module) {
    for (auto& [name, variable] : module.parameters_)
      if (variable.defined()) variable.set_requires_grad(false);
    module.training_ = false;
    module.frozen_ = true;
  });
  zero_grad();
}

void Module::unfreeze() {
  apply([](Module& module) { module.frozen_ = false; });
  requires_grad_(true);
}

void Module::requires_grad_(bool on) {
  apply([on](Module& module) {
    if (module.frozen_) return;
    for (auto& [name, variable] : module.parameters_)
      if (variable.defined()) variable.set_requires_grad(on);
  });
}

void Module::zero_grad() {
  for (const Entry& entry : entries())
    if (entry.parameter) entry.parameter->zero_grad();
}

void Module::apply(const std::function<void(Module&)>& f) {
  for (const auto& [name, child] : children_) child->apply(f);
  f(*this);
}

void Module::convert(const std::function<Tensor(const Tensor&)>& f) {
  zero_grad();
  std::set<const void*> done;
  for (const Entry& entry : entries()) {
    Tensor& data = entry.parameter ? entry.parameter->mutable_data() : *entry.buffer;
    if (done.insert(&data).second) data = f(data);
  }
}

void Module::to(DType dtype) {
  check(tensor::is_floating(dtype), ErrorKind::dtype, "to: parameters are floating, not {}",
        tensor::name_of(dtype));
  convert([&](const Tensor& t) { return tensor::is_floating(t.dtype()) ? t.to(dtype) : t; });
}

void Module::to(Device device) {
  convert([&](const Tensor& t) { return t.to(device); });
}

// --- state

StateDict Module::state_dict() const {
  StateDict state;
  for (const Entry& entry : entries()) state.emplace(entry.name, entry.tensor());
  return state;
}

LoadReport Module::load_state_dict(const StateDict& state, bool strict) {
  return load_state_dict(state, LoadOptions{.strict = strict});
}

LoadReport Module::check_state_dict(const StateDict& state, bool strict) const {
  const std::vector<Entry> own = entries();
  std::set<std::string> names;
  std::set<const Tensor*> loaded;
  std::vector<std::string> misfits;
  for (const Entry& entry : own) {
    names.insert(entry.name);
    const auto found = state.find(entry.name);
    if (found == state.end()) continue;
    loaded.insert(&entry.tensor());
    if (!fits(entry.tensor(), found->second))
      misfits.push_back(tensor::format("{}: {} in the module, {} in the state dict", entry.name,
                                       tensor::describe(entry.tensor()), tensor::describe(found->second)));
  }
  LoadReport report;
  for (const Entry& entry : own)
    if (!state.contains(entry.name) && !loaded.contains(&entry.tensor()) && !is_optional(entry.name))
      report.missing.push_back(entry.name);
  for (const auto& [name, value] : state)
    if (!names.contains(name)) report.unexpected.push_back(name);

  std::string problems;
  if (strict && !report.missing.empty()) problems += "; missing: " + list(report.missing);
  if (strict && !report.unexpected.empty()) problems += "; unexpected: " + list(report.unexpected);
  if (!misfits.empty()) problems += "; does not fit: " + list(misfits);
  check(problems.empty(), ErrorKind::data, "load_state_dict: the state dict is not one of this {}{}",
        describe().substr(0, describe().find('(')), problems);
  return report;
}

LoadReport Module::load_state_dict(const StateDict& state, const LoadOptions& options) {
  const LoadReport report = check_state_dict(state, options.strict);
  for (const Entry& entry : entries()) {
    const auto found = state.find(entry.name);
    if (found == state.end()) continue;
    Tensor& own = entry.parameter ? entry.parameter->mutable_data() : *entry.buffer;
    const Tensor& given = found->second;
    const bool expect_finite = options.finite && options.finite(entry.name);
    bool finite = true;
    if (options.adopt) {
      own = given;
      finite = !expect_finite || tensor::count_non_finite(own) == 0;
    } else if (expect_finite) {
      finite = tensor::copy_finite(own, given);
    } else {
      own.copy_(given);
    }
    check(finite, ErrorKind::data, "{}: {} of {} values NaN or infinite", entry.name,
          tensor::count_non_finite(given), given.numel());
  }
  return report;
}

// --- printing

namespace {

void print(const Module& module, int indent, std::string& out) {
  const std::string line = module.describe();
  const size_t open = std::min(line.find('('), line.size());
  if (module.children().empty()) {
    out += open < line.size() ? line : line + "()";
    return;
  }
  const std::string margin(static_cast<size_t>(indent) + 2, ' ');
  out += line.substr(0, open) + "(\n";
  if (open + 2 < line.size()) out += margin + line.substr(open + 1, line.size() - open - 2) + "\n";
  for (const auto& [name, child] : module.children()) {
    out += margin + "(" + name + "): ";
    print(*child, indent + 2, out);
    out += "\n";
  }
  out += std::string(static_cast<size_t>(indent), ' ') + ")";
}

}  // namespace

std::string to_string(const Module& module) {
  std::string out;
  print(module, 0, out);
  return out;
}

}  // namespace nn
