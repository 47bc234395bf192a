#include "autograd/scope.h"

#include <map>
#include <mutex>
#include <utility>

#include "autograd/observer.h"
#include "tensor/error.h"

namespace autograd {
namespace {

using internal::ScopePath;

const ScopePath kOutside{nullptr, "", ""};
thread_local const ScopePath* current = &kOutside;

const ScopePath* child_of(const ScopePath* parent, std::string_view name) {
  using Paths = std::map<std::pair<const ScopePath*, std::string_view>, const ScopePath*>;
  static std::mutex mutex;
  static Paths* const paths = new Paths;  // tensors with static lifetime may outlive what is destroyed
  const std::lock_guard lock(mutex);
  if (const auto found = paths->find({parent, name}); found != paths->end()) return found->second;
  const auto* made =
      new ScopePath{parent, std::string(name),
                    parent->path.empty() ? std::string(name) : parent->path + "." + std::string(name)};
  paths->emplace(std::pair{parent, std::string_view(made->name)}, made);
  return made;
}

std::string context() { return current->path.empty() ? std::string() : " (in " + current->path + ")"; }

const bool registered = (tensor::set_error_context(&context), true);

void enter(const ScopePath* path) {
  current = path;
  for (Observer* o = internal::observers; o != nullptr; o = o->next()) o->scope_entered();
}

}  // namespace

Scope::Scope(std::string_view name) : previous_(current), entered_(true) { enter(child_of(current, name)); }

Scope::Scope(const ScopePath* path) : previous_(current), entered_(false) { current = path; }

Scope::~Scope() {
  if (entered_)
    for (Observer* o = internal::observers; o != nullptr; o = o->next()) o->scope_left();
  current = previous_;
}

const std::string& current_scope() { return current->path; }

const ScopePath* internal::current_path() { return current; }

}  // namespace autograd
