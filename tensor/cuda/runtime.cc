#include "tensor/cuda/runtime.h"

#include <atomic>
#include <mutex>

#include "tensor/error.h"
#include "tensor/fork.h"
#include "tensor/format.h"

namespace tensor::cuda {
namespace {

// A driver's state is not the child's after fork(): one whose parent has used a device must not.
std::atomic<bool> used{false}, lost{false};
std::mutex fork_mutex;
[[maybe_unused]] const bool held = (internal::hold_at_fork(fork_mutex, [] { lost = used.load(); }), true);

Runtime* linked() { return linked_runtime == nullptr ? nullptr : linked_runtime(); }

}  // namespace

int device_count() {
  Runtime* runtime = linked();
  if (runtime == nullptr || lost) return 0;
  used = true;
  return runtime->device_count();
}

Runtime& runtime_of(Device device, const char* op) {
  Runtime* runtime = linked();
  check(runtime != nullptr, ErrorKind::device, "{}: {}: built without CUDA", op, to_string(device));
  check(!lost, ErrorKind::device,
        "{}: {} was used before fork(): the child cannot use it; start it as a program", op,
        to_string(device));
  const int there = device_count();
  if (there == 0) fail(ErrorKind::device, "{}: {}: {}", op, to_string(device), runtime->why_none());
  check(device.index >= 0 && device.index < there, ErrorKind::device, "{}: {}: there {} device{}", op,
        to_string(device), there == 1 ? "is 1" : tensor::format("are {}", there), there == 1 ? "" : "s");
  return *runtime;
}

}  // namespace tensor::cuda
