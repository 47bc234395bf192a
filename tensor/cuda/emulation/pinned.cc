#include "tensor/cuda/emulation/pinned.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>

#include "tensor/cuda/emulation/memory.h"

namespace tensor::cuda::emulation {
namespace {

constexpr size_t kPage = size_t{64} << 10;  // a multiple of any system's
constexpr size_t kAddresses = size_t{1} << 36;

constexpr size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

std::atomic<std::byte*> first_address = nullptr;  // of all of it; null: there was none yet

bool is_there(const void* address) {
  const auto first = reinterpret_cast<uintptr_t>(first_address.load());
  return first != 0 && reinterpret_cast<uintptr_t>(address) - first < kAddresses;
}

// Offsets from the first address.
struct Range {
  size_t begin = 0, end = 0;

  bool empty() const { return begin >= end; }
  Range with(Range other) const { return {std::max(begin, other.begin), std::min(end, other.end)}; }
};

struct Hold {
  Range bytes, pages;  // what is copied, and what of it is closed
  CopyOf copy;
  size_t stream;
  uint64_t work;
};

// Never destroyed, as streams are not.
struct All {
  std::byte* base = nullptr;        // null: the system has no room for the addresses
  std::map<size_t, size_t> blocks;  // where each starts, and its bytes: at least one
  std::vector<Hold> holds;

  All() {
    void* range = ::mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range != MAP_FAILED) base = static_cast<std::byte*>(range);
    first_address = base;
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

void protect(Range pages, int how) {
  if (!pages.empty()) ::mprotect(all().base + pages.begin, pages.end - pages.begin, how);
}

// Closes of these pages what is held.
void close_held(Range pages) {
  for (const CopyOf copy : {CopyOf::reads, CopyOf::writes})  // the stricter one last
    for (const Hold& hold : all().holds)
      if (hold.copy == copy) protect(hold.pages.with(pages), copy == CopyOf::reads ? PROT_READ : PROT_NONE);
}

Range touched_pages(const void* start, size_t bytes) {
  const size_t begin = all().offset(start);
  return {begin / kPage * kPage, whole_pages(begin + bytes)};
}

}  // namespace

void* allocate_pinned(size_t bytes) {
  if (all().base == nullptr || bytes > kAddresses) return nullptr;
  bytes = std::max<size_t>(bytes, 1);
  const size_t size = whole_pages(bytes);
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
  if (!is_there(start)) return false;
  const auto block = all().blocks.find(all().offset(start));
  if (block == all().blocks.end()) return false;
  const Range pages{block->first, block->first + whole_pages(block->second)};
  std::erase_if(all().holds, [&](const Hold& hold) { return !hold.bytes.with(pages).empty(); });
  ::madvise(start, pages.end - pages.begin, MADV_DONTNEED);
  protect(pages, PROT_NONE);
  all().blocks.erase(block);
  return true;
}

bool is_pinned(const void* address, size_t bytes) {
  if (!is_there(address)) return false;
  const size_t at = all().offset(address);
  const auto block = all().block_before(at);
  return block != all().blocks.end() && at - block->first <= block->second &&
         bytes <= block->second - (at - block->first);
}

HeldPinned::HeldPinned(std::byte* start, size_t bytes, CopyOf copy, size_t stream, uint64_t work) {
  hear_of_faults();
  const size_t begin = all().offset(start), end = begin + bytes;
  const auto block = all().block_before(begin);
  const bool is_last = end == block->first + block->second;
  Range pages{whole_pages(begin), is_last ? whole_pages(end) : end / kPage * kPage};
  if (pages.empty()) pages = {end, end};
  for (const Range& part :
       {Range{begin, std::min(end, pages.begin)}, Range{std::max(begin, pages.end), end}}) {
    // What copies before this one still read stays, and what they write will change.
    const bool awaited = std::ranges::any_of(
        all().holds, [&](const Hold& hold) { return hold.copy != copy && !hold.bytes.with(part).empty(); });
    if (part.empty() || awaited) continue;
    std::byte* from = all().base + part.begin;
    const size_t size = part.end - part.begin;
    const OpenPinned open(from, size);
    if (copy == CopyOf::reads)
      open_.push_back({from, {from, from + size}});
    else
      std::memset(from, 0xff, size);
  }
  all().holds.push_back({{begin, end}, pages, copy, stream, work});
  close_held(pages);
}

bool HeldPinned::was_overwritten() const {
  return std::ranges::any_of(open_, [](const Part& part) {
    const OpenPinned open(part.start, part.bytes.size());
    return std::memcmp(part.start, part.bytes.data(), part.bytes.size()) != 0;
  });
}

void release_holds(const Moment& known) {
  std::vector<Range> open;
  std::erase_if(all().holds, [&](const Hold& hold) {
    if (hold.stream >= known.size() || hold.work > known[hold.stream]) return false;
    open.push_back(hold.pages);
    return true;
  });
  for (const Range& pages : open) protect(pages, PROT_READ | PROT_WRITE);
  for (const Range& pages : open) close_held(pages);
}

OpenPinned::OpenPinned(const void* start, size_t bytes)
    : start_(static_cast<const std::byte*>(start)), bytes_(is_pinned(start, bytes) ? bytes : 0) {
  if (bytes_ > 0) protect(touched_pages(start_, bytes_), PROT_READ | PROT_WRITE);
}

OpenPinned::~OpenPinned() {
  if (bytes_ > 0) close_held(touched_pages(start_, bytes_));
}

std::string_view pinned_fault(const void* address) {
  if (!is_there(address)) return "";
  return "emulated device: the host touched pinned memory that a queued copy reads or writes, without a wait for it, "
         "or that is nobody's\n";
}

}  // namespace tensor::cuda::emulation
