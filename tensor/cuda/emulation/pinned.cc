#include "tensor/cuda/emulation/pinned.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <vector>

namespace tensor::cuda::emulation {
namespace {

constexpr size_t kPage = size_t{64} << 10;  // a multiple of any system's
constexpr size_t kAddresses = size_t{1} << 36;

constexpr size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Offsets from the first address of all pinned memory.
struct Pages {
  size_t begin = 0, end = 0;

  bool empty() const { return begin >= end; }
  Pages with(Pages other) const { return {std::max(begin, other.begin), std::min(end, other.end)}; }
};

struct Hold {
  Pages pages;
  CopyOf copy;
  size_t stream;
  uint64_t work;
};

// Never destroyed, as streams are not.
struct All {
  std::byte* base = nullptr;  // null: the system has no room for the addresses
  std::map<size_t, size_t> blocks;
  std::vector<Hold> holds;

  All() {
    void* range = ::mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range != MAP_FAILED) base = static_cast<std::byte*>(range);
  }
  bool has(const void* address) const {
    return base != nullptr &&
           reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base) < kAddresses;
  }
  size_t offset(const void* address) const {
    return static_cast<size_t>(static_cast<const std::byte*>(address) - base);
  }
  // The block in which an offset lies, or the last one that starts before it.
  std::map<size_t, size_t>::iterator block_before(size_t at) {
    const auto after = blocks.upper_bound(at);
    return after == blocks.begin() ? blocks.end() : std::prev(after);
  }
};
All& all() {
  static All* const them = new All;
  return *them;
}

void protect(Pages pages, int how) {
  if (!pages.empty()) ::mprotect(all().base + pages.begin, pages.end - pages.begin, how);
}

// What holds leave open of these pages.
void close_held(Pages pages) {
  for (const CopyOf copy : {CopyOf::reads, CopyOf::writes})  // the stricter one last
    for (const Hold& hold : all().holds)
      if (hold.copy == copy) protect(hold.pages.with(pages), copy == CopyOf::reads ? PROT_READ : PROT_NONE);
}

Pages touched_pages(const void* start, size_t bytes) {
  const size_t begin = all().offset(start);
  return {begin / kPage * kPage, whole_pages(begin + bytes)};
}

}  // namespace

void* allocate_pinned(size_t bytes) {
  if (all().base == nullptr) return nullptr;
  const size_t size = whole_pages(std::max<size_t>(bytes, 1));
  size_t at = 0;
  for (const auto& [start, taken] : all().blocks) {
    if (at + size + kPage <= start) break;
    at = start + whole_pages(taken) + kPage;  // what is behind a block is nobody's
  }
  if (size > kAddresses || at > kAddresses - size) return nullptr;
  if (::mprotect(all().base + at, size, PROT_READ | PROT_WRITE) != 0) return nullptr;
  all().blocks[at] = bytes;
  return all().base + at;
}

bool release_pinned(void* start) {
  if (!all().has(start)) return false;
  const auto block = all().blocks.find(all().offset(start));
  if (block == all().blocks.end()) return false;
  const Pages pages{block->first, block->first + whole_pages(std::max<size_t>(block->second, 1))};
  std::erase_if(all().holds, [&](const Hold& hold) { return !hold.pages.with(pages).empty(); });
  ::madvise(start, pages.end - pages.begin, MADV_DONTNEED);
  protect(pages, PROT_NONE);
  all().blocks.erase(block);
  return true;
}

bool is_pinned(const void* address, size_t bytes) {
  if (!all().has(address)) return false;
  const size_t at = all().offset(address);
  const auto block = all().block_before(at);
  return block != all().blocks.end() && at - block->first <= block->second &&
         bytes <= block->second - (at - block->first);
}

void hold_pinned(void* start, size_t bytes, CopyOf copy, size_t stream, uint64_t work) {
  const size_t begin = all().offset(start), end = begin + bytes;
  const auto block = all().block_before(begin);
  const bool is_last = end == block->first + block->second;
  const Pages pages{whole_pages(begin), is_last ? whole_pages(end) : end / kPage * kPage};
  if (pages.empty()) return;
  all().holds.push_back({pages, copy, stream, work});
  close_held(pages);
}

void release_holds(const Moment& known) {
  std::vector<Pages> open;
  std::erase_if(all().holds, [&](const Hold& hold) {
    if (hold.stream >= known.size() || hold.work > known[hold.stream]) return false;
    open.push_back(hold.pages);
    return true;
  });
  for (const Pages& pages : open) protect(pages, PROT_READ | PROT_WRITE);
  for (const Pages& pages : open) close_held(pages);
}

OpenPinned::OpenPinned(const void* start, size_t bytes)
    : start_(static_cast<const std::byte*>(start)), bytes_(is_pinned(start, bytes) ? bytes : 0) {
  if (bytes_ > 0) protect(touched_pages(start_, bytes_), PROT_READ | PROT_WRITE);
}

OpenPinned::~OpenPinned() {
  if (bytes_ > 0) close_held(touched_pages(start_, bytes_));
}

std::string_view pinned_fault(const void* address) {
  if (!all().has(address)) return "";
  if (!is_pinned(address, 1)) return "emulated device: pinned memory was touched outside of its blocks\n";
  return "emulated device: the host touched pinned memory that a queued copy reads or writes, without a wait for "
         "it\n";
}

}  // namespace tensor::cuda::emulation
