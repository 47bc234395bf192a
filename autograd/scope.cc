#include "autograd/scope.h"

#include <map>
#include <mutex>
#include <utility>

#include "autograd/observer.h"
#include "tensor/error.h"
#include "tensor/fork.h"

namespace autograd {
namespace {

using internal::ScopePath;

thread_local const ScopePath* current = nullptr;  // null until the first scope: outside of all

// Never destroyed, as all paths: static objects may compute before and after it would live.
const ScopePath* here() {
  static const ScopePath* const outside = new ScopePath{nullptr, "", ""};
  return current != nullptr ? current : outside;
}

std::mutex mutex;  // of all paths

const ScopePath* child_of(const ScopePath* parent, std::string_view name) {
  const std::lock_guard lock(mutex);
  static auto* const paths = new std::map<std::pair<const ScopePath*, std::string_view>, const ScopePath*>;
  if (const auto found = paths->find({parent, name}); found != paths->end()) return found->second;
  const auto* made =
      new ScopePath{parent, std::string(name),
                    parent->path.empty() ? std::string(name) : parent->path + "." + std::string(name)};
  paths->emplace(std::pair{parent, std::string_view(made->name)}, made);
  return made;
}

std::string context() { return here()->path.empty() ? std::string() : " (in " + here()->path + ")"; }

// Before there are threads: a fork() while another one registers would not hold the lock.
const bool registered =
    (here(), tensor::set_error_context(&context), tensor::internal::hold_at_fork(mutex), true);

void enter(const ScopePath* path) {
  current = path;
  for (Observer* o = internal::observers; o != nullptr; o = o->next()) o->scope_entered();
}

}  // namespace

Scope::Scope(std::string_view name) : previous_(current), entered_(true) { enter(child_of(here(), name)); }

Scope::Scope(const ScopePath* path) : previous_(current), entered_(false) { current = path; }

Scope::~Scope() {
  if (entered_)
    for (Observer* o = internal::observers; o != nullptr; o = o->next()) o->scope_left();
  current = previous_;
}

const std::string& current_scope() { return here()->path; }

const ScopePath* internal::current_path() { return here(); }

}  // namespace autograd
