#include "allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include "tensor/allocator.h"

namespace {

std::atomic<int64_t> news{0};

void* counted_or_null(std::size_t bytes, std::size_t alignment) noexcept {
  ++news;
  // aligned_alloc wants whole multiples.
  return std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
}

void* counted(std::size_t bytes, std::size_t alignment) {
  if (void* block = counted_or_null(bytes, alignment)) return block;
  throw std::bad_alloc();
}

}  // namespace

// The library's other forms call these; a sanitizer's own form that does not throw would not.
void* operator new(std::size_t bytes) { return counted(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted_or_null(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }

namespace tests {

Allocations allocations() { return {news, tensor::allocator_statistics().blocks_handed_out}; }

}  // namespace tests
