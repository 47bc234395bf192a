// The memory of the emulated devices: ranges of addresses, used from their start, whose pages the host finds closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace tensor::cuda::emulation {

inline constexpr int kDevices = 2;

// Of one device. Blocks lie apart, so that what is behind the end of one is not the next.
class DeviceMemory {
 public:
  static constexpr size_t kAddresses = size_t{1} << 37;  // most of which are never used

  struct Block {
    size_t bytes;
    bool reserved;  // beyond what the device has: only a few of its pages are ever touched
  };

  DeviceMemory(std::byte* base, size_t capacity) : base_(base), capacity_(capacity) {}

  // Aligned to 512 bytes; null where there is no room.
  std::byte* allocate(size_t bytes, bool reserved);
  bool release(const std::byte* start);          // false: no block starts there
  size_t size_of(const std::byte* start) const;  // of the block that starts there; 0: none

  bool holds(const void* address) const;
  // The block in which an address lies, or the last one that starts before it; null where there is none.
  const std::pair<const size_t, Block>* block_before(const void* address) const;
  // Whether all the bytes are in one block.
  bool in_one_block(const void* address, size_t bytes) const;

  // Whether it was in a block that is released, and in none since.
  bool was_released(const void* address) const;

  size_t capacity() const { return capacity_; }
  size_t in_use() const { return in_use_; }
  std::byte* base() const { return base_; }

  void protect(bool open);

 private:
  std::byte* base_;
  size_t capacity_;
  size_t in_use_ = 0;
  size_t touched_ = 0;                 // what was ever in use, in whole pages: all behind is closed
  std::map<size_t, Block> blocks_;     // by where they start
  std::map<size_t, size_t> released_;  // the sizes of former ones
};

// From now on a fault says where it was, before it ends the program.
void hear_of_faults();

DeviceMemory& memory_of(int device);
// The device in whose range an address lies; -1: it is the host's.
int device_of(const void* address);

// While one lives, the pages of all devices are open.
class OpenMemory {
 public:
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
};

}  // namespace tensor::cuda::emulation
