#include "allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include "tensor/allocator.h"

namespace {

std::atomic<int64_t> news{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++news;
  // aligned_alloc wants whole multiples.
  if (void* block = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment)) return block;
  throw std::bad_alloc();
}

}  // namespace

// The library's other forms call these.
void* operator new(std::size_t bytes) { return counted(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }

namespace tests {

Allocations allocations() { return {news, tensor::allocator_statistics().blocks_handed_out}; }

}  // namespace tests
