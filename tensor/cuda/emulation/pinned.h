// Memory of the host that a device may read and write by itself. While a queued copy has some of it, its pages are closed to
// the host: whoever reads a result before the wait, or writes over what is still to be read, ends there. On pages that hold
// other bytes of a block, too, what a copy will write is all ones meanwhile, and what it reads is compared when it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tensor/cuda/emulation/history.h"

namespace tensor::cuda::emulation {

void* allocate_pinned(size_t bytes);  // null: no room
bool release_pinned(void* start);     // false: none starts there
// Whether all the bytes are in one block of it.
bool is_pinned(const void* address, size_t bytes);

enum class CopyOf { reads, writes };  // what a copy does with the host's memory

// What a stream's work, which is about to be queued, copies of a block, until release_holds().
class HeldPinned {
 public:
  HeldPinned(std::byte* start, size_t bytes, CopyOf copy, size_t stream, uint64_t work);

  // Whether the host has written over what the copy reads.
  bool was_overwritten() const;

 private:
  struct Part {
    const std::byte* start;
    std::vector<std::byte> bytes;
  };
  std::vector<Part> open_;  // what is read of pages that are not closed
};
// The host knows that these works are done.
void release_holds(const Moment& known);

// While one lives the copy itself may touch these bytes, if they are pinned.
class OpenPinned {
 public:
  OpenPinned(const void* start, size_t bytes);
  ~OpenPinned();
  OpenPinned(const OpenPinned&) = delete;
  OpenPinned& operator=(const OpenPinned&) = delete;

 private:
  const std::byte* start_;
  size_t bytes_;
};

// What a signal's handler is to say of a fault at an address; empty: it is not where pinned memory is.
std::string_view pinned_fault(const void* address);

}  // namespace tensor::cuda::emulation
