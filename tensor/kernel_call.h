// Tells a profiler when kernels begin and end. Costs one load per kernel when nobody listens.
#pragma once

namespace tensor {

// Hears of the kernels that its thread calls.
class KernelListener {
 public:
  virtual ~KernelListener() = default;
  virtual void kernel_begins(const char* name) = 0;
  virtual void kernel_ended(const char* name) = 0;
};

namespace internal {

inline constinit thread_local KernelListener* kernel_listener = nullptr;

class KernelCall {
 public:
  explicit KernelCall(const char* name) : name_(name) {
    if (kernel_listener != nullptr) [[unlikely]]
      kernel_listener->kernel_begins(name_);
  }
  ~KernelCall() {
    if (kernel_listener != nullptr) [[unlikely]]
      kernel_listener->kernel_ended(name_);
  }
  KernelCall(const KernelCall&) = delete;
  KernelCall& operator=(const KernelCall&) = delete;

 private:
  const char* name_;
};

}  // namespace internal
}  // namespace tensor
