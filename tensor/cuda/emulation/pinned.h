// Memory of the host that a device may read and write by itself. While a queued copy has some of it, its pages are closed to
// the host: whoever reads a result before the wait, or writes over what is still to be read, ends there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tensor/cuda/emulation/history.h"

namespace tensor::cuda::emulation {

void* allocate_pinned(size_t bytes);  // null: no room
bool release_pinned(void* start);     // false: none starts there
// Whether all the bytes are in one block of it.
bool is_pinned(const void* address, size_t bytes);

enum class CopyOf { reads, writes };  // what a copy does with the host's memory

// A stream's work, which is queued, copies these bytes of a block. Closed for the host, for writing or altogether, are the
// pages on which no other bytes of the block lie.
void hold_pinned(void* start, size_t bytes, CopyOf copy, size_t stream, uint64_t work);
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

// What is to be said of a fault at an address, by a signal's handler; empty: it is no pinned memory.
std::string_view pinned_fault(const void* address);

}  // namespace tensor::cuda::emulation
