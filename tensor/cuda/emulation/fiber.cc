#include "tensor/cuda/emulation/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>

#include "tensor/error.h"

namespace tensor::cuda::emulation {
namespace {

namespace context = boost::context::detail;

constexpr size_t kGuard = 4096;

// Where the one that runs hands back to.
void* resumer = nullptr;

void enter(context::transfer_t from) {
  resumer = from.fctx;
  reinterpret_cast<void (*)()>(from.data)();
}

}  // namespace

void Fiber::start(void (*entry)()) {
  if (stack_ == nullptr) {
    void* pages = ::mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    check(pages != MAP_FAILED && ::mprotect(pages, kGuard, PROT_NONE) == 0, ErrorKind::cuda,
          "emulated device: no room for the stacks of a block's threads");
    stack_ = static_cast<std::byte*>(pages) + kGuard;
  }
  entry_ = entry;
  context_ = context::make_fcontext(stack_ + kStack, kStack, enter);
}

void Fiber::resume() { context_ = context::jump_fcontext(context_, reinterpret_cast<void*>(entry_)).fctx; }

void Fiber::suspend() { resumer = context::jump_fcontext(resumer, nullptr).fctx; }

bool Fiber::holds(const void* address, size_t bytes) const {
  const auto offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(stack_);
  return offset < kStack && bytes <= kStack - offset;
}

bool Fiber::overflows_at(const void* address) const {
  return reinterpret_cast<uintptr_t>(stack_) - reinterpret_cast<uintptr_t>(address) - 1 < kGuard;
}

}  // namespace tensor::cuda::emulation
