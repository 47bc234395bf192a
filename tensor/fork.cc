#include "tensor/fork.h"

#include <pthread.h>

#include <vector>

namespace tensor::internal {
namespace {

struct Held {
  std::mutex* mutex;
  void (*in_child)();
};

struct Registry {
  std::mutex mutex;
  std::vector<Held> held;
};

// Never destroyed: a static object's destructor may fork.
Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

void lock_all() {
  registry().mutex.lock();
  for (const Held& h : registry().held) h.mutex->lock();
}

void unlock_all() {
  for (const Held& h : registry().held) h.mutex->unlock();
  registry().mutex.unlock();
}

void unlock_in_child() {
  for (const Held& h : registry().held)
    if (h.in_child != nullptr) h.in_child();
  unlock_all();
}

}  // namespace

void hold_at_fork(std::mutex& mutex, void (*in_child)()) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  if (r.held.empty()) pthread_atfork(&lock_all, &unlock_all, &unlock_in_child);
  r.held.push_back({&mutex, in_child});
}

}  // namespace tensor::internal
