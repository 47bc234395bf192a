#include "tensor/fork.h"

#include <pthread.h>

#include <atomic>
#include <thread>
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

std::atomic<int> inside{0};  // threads that have a NoFork
std::atomic<bool> forking{false};
constinit thread_local int depth = 0;  // of this thread's

int own() { return depth > 0 ? 1 : 0; }

void lock_all() {
  registry().mutex.lock();
  forking = true;
  // Before the mutexes, which those inside may want.
  while (inside > own()) std::this_thread::yield();
  for (const Held& h : registry().held) h.mutex->lock();
}

void unlock_all() {
  for (const Held& h : registry().held) h.mutex->unlock();
  forking = false;
  registry().mutex.unlock();
}

void unlock_in_child() {
  inside = own();  // a thread that the child does not have may just have been asking to come in
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

NoFork::NoFork() {
  if (depth++ > 0) return;
  for (;;) {
    ++inside;
    if (!forking) return;
    --inside;
    while (forking) std::this_thread::yield();
  }
}

NoFork::~NoFork() {
  if (--depth == 0) --inside;
}

}  // namespace tensor::internal
