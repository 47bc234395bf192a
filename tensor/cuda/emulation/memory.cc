#include "tensor/cuda/emulation/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "tensor/cuda/emulation/block.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/pinned.h"
#include "tensor/error.h"

namespace tensor::cuda::emulation {
namespace {

constexpr size_t kPage = size_t{1} << 21;  // opening and closing costs by the page, so they are large
constexpr size_t kAlignment = 512;
constexpr size_t kReserved = DeviceMemory::kAddresses / 2;  // from here on
constexpr size_t kCapacity[kDevices] = {size_t{1} << 30, size_t{1} << 28};

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
size_t whole_pieces(size_t bytes) {
  return (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
}

// Never given back: static objects' tensors may outlive everything here.
std::byte* all_addresses() {
  static std::byte* const start = [] {
    void* range = ::mmap(nullptr, kDevices * DeviceMemory::kAddresses + kPage, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(range != MAP_FAILED, ErrorKind::cuda, "emulated device: no room for its addresses");
    const auto at = reinterpret_cast<uintptr_t>(range);
    std::byte* base = static_cast<std::byte*>(range) + (kPage - at % kPage) % kPage;
    for (int device = 0; device < kDevices; ++device)
      ::madvise(base + static_cast<size_t>(device) * DeviceMemory::kAddresses, kReserved, MADV_HUGEPAGE);
    return base;
  }();
  return start;
}

// Writes without a lock or memory of its own, as a signal's handler must.
void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(2, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// The fault comes again at once, without this handler, and ends the program.
void on_fault(int, siginfo_t* info, void*) {
  if (device_of(info->si_addr) >= 0)
    say("emulated device: the host touched a device's memory, outside of the device's work\n");
  else if (is_behind_a_stack(info->si_addr))
    say("emulated device: the stack of a kernel's thread is full\n");
  else
    say(pinned_fault(info->si_addr));
}

}  // namespace

std::byte* DeviceMemory::allocate(size_t bytes, bool reserved) {
  const size_t size = whole_pieces(bytes);
  if (!reserved && size > capacity_ - in_use_) return nullptr;
  size_t at = reserved ? kReserved : 0;
  for (auto it = blocks_.lower_bound(at); it != blocks_.end(); ++it) {
    const auto& [start, block] = *it;
    if (at + size + kAlignment <= start) break;
    at = start + whole_pieces(block.bytes) + kAlignment;
  }
  if (at + size > (reserved ? kAddresses : kReserved)) return nullptr;
  blocks_[at] = {bytes, reserved};
  released_.erase(released_.lower_bound(at), released_.lower_bound(at + size));
  if (!reserved) in_use_ += size;
  touched_ = std::max(touched_, whole_pages(at + size));
  return base_ + at;
}

bool DeviceMemory::release(const std::byte* start) {
  const auto found = blocks_.find(static_cast<size_t>(start - base_));
  if (found == blocks_.end()) return false;
  const size_t size = whole_pieces(found->second.bytes);
  if (!found->second.reserved) in_use_ -= size;
  // Its memory goes back to the system, too. Whoever gets a whole page again finds it filled anew (shadow.h).
  const size_t first = whole_pages(found->first), last = (found->first + size) / kPage * kPage;
  if (first < last) ::madvise(base_ + first, last - first, MADV_DONTNEED);
  released_[found->first] = found->second.bytes;
  blocks_.erase(found);
  return true;
}

bool DeviceMemory::was_released(const void* address) const {
  const auto offset = static_cast<size_t>(static_cast<const std::byte*>(address) - base_);
  const auto after = released_.upper_bound(offset);
  return after != released_.begin() && offset - std::prev(after)->first < std::prev(after)->second;
}

size_t DeviceMemory::size_of(const std::byte* start) const {
  const auto found = blocks_.find(static_cast<size_t>(start - base_));
  return found == blocks_.end() ? 0 : found->second.bytes;
}

bool DeviceMemory::holds(const void* address) const {
  return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_) < kAddresses;
}

const std::pair<const size_t, DeviceMemory::Block>* DeviceMemory::block_before(const void* address) const {
  const auto after = blocks_.upper_bound(static_cast<size_t>(static_cast<const std::byte*>(address) - base_));
  return after == blocks_.begin() ? nullptr : &*std::prev(after);
}

bool DeviceMemory::in_one_block(const void* address, size_t bytes) const {
  if (!holds(address)) return false;
  const auto* block = block_before(address);
  if (block == nullptr) return false;
  const size_t offset = static_cast<size_t>(static_cast<const std::byte*>(address) - base_) - block->first;
  return offset <= block->second.bytes && bytes <= block->second.bytes - offset;
}

// What was given back is closed once more, and then no longer looked at.
void DeviceMemory::protect(bool open) {
  if (touched_ > 0) ::mprotect(base_, touched_, open ? PROT_READ | PROT_WRITE : PROT_NONE);
  if (!open)
    touched_ = blocks_.empty() ? 0 : whole_pages(blocks_.rbegin()->first + blocks_.rbegin()->second.bytes);
}

DeviceMemory& memory_of(int device) {
  const auto of = [](int i) {
    const size_t capacity = counts_only() ? kReserved : kCapacity[i];
    return DeviceMemory(all_addresses() + static_cast<size_t>(i) * DeviceMemory::kAddresses, capacity);
  };
  static auto* const memories = new std::array<DeviceMemory, kDevices>{of(0), of(1)};
  return (*memories)[static_cast<size_t>(device)];
}

int device_of(const void* address) {
  for (int device = 0; device < kDevices; ++device)
    if (memory_of(device).holds(address)) return device;
  return -1;
}

// Again and again: the test framework has a handler of its own for each case.
void hear_of_faults() {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
  ::sigaction(SIGSEGV, &action, nullptr);
}

OpenMemory::OpenMemory() {
  hear_of_faults();
  for (int device = 0; device < kDevices; ++device) memory_of(device).protect(true);
}

OpenMemory::~OpenMemory() {
  for (int device = 0; device < kDevices; ++device) memory_of(device).protect(false);
}

}  // namespace tensor::cuda::emulation
