#include "tensor/cuda/emulation/shadow.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "tensor/error.h"

namespace tensor::cuda::emulation {
namespace {

constexpr uint32_t kLargest = 8;

// The largest piece that the bytes from an offset consist of.
uint32_t piece_of(size_t offset, size_t bytes) {
  const size_t both = offset | bytes | kLargest;
  return static_cast<uint32_t>(both & (~both + 1));
}

}  // namespace

Shadow::Shadow(std::byte* base, size_t bytes) : base_(base) {
  void* pages = ::mmap(nullptr, bytes / kPage * sizeof(Page), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(pages != MAP_FAILED, ErrorKind::cuda, "emulated device: no room to watch its memory");
  pages_ = static_cast<Page*>(pages);
}

// Whole pages need no cells; those at the ends are shared with other blocks.
void Shadow::add(size_t offset, size_t bytes) {
  const size_t first = (offset + kPage - 1) / kPage, last = (offset + bytes) / kPage;
  used_ = std::max(used_, (offset + bytes + kPage - 1) / kPage);
  if (first > last) return set(offset, bytes, 0);
  set(offset, first * kPage - offset, 0);
  for (size_t i = first; i < last; ++i) {
    std::free(pages_[i].cells);
    pages_[i] = {nullptr, kLargest, true};
  }
  set(last * kPage, offset + bytes - last * kPage, 0);
}

void Shadow::remove(size_t offset, size_t bytes) {
  const size_t first = (offset + kPage - 1) / kPage, last = (offset + bytes) / kPage;
  if (first > last) return set(offset, bytes, kNoMemory);
  set(offset, first * kPage - offset, kNoMemory);
  for (size_t i = first; i < last; ++i) {
    std::free(pages_[i].cells);
    pages_[i] = {};
  }
  set(last * kPage, offset + bytes - last * kPage, kNoMemory);
}

// Within a page. New memory is all ones: NaN, or an index that is far out.
void Shadow::set(size_t offset, size_t bytes, uint32_t stretch) {
  if (bytes == 0) return;
  const Cells at = make_cells(offset, bytes);
  for (size_t i = 0; i < at.count; ++i) {
    at.first[i] = {};
    at.first[i].write.stretch = stretch;
  }
  if (stretch == 0) std::memset(base_ + offset, 0xff, bytes);
}

Shadow::Cells Shadow::make_cells(size_t offset, size_t bytes) {
  const size_t index = offset / kPage, within = offset % kPage;
  const size_t here = std::min(bytes, kPage - within);
  Page& page = pages_[index];
  const uint32_t piece = piece_of(within, here);
  if (page.cells == nullptr || piece < page.piece) refine(page, index, piece);
  return {page.cells + within / page.piece, here / page.piece, page.piece};
}

void Shadow::refine(Page& page, size_t index, uint32_t piece) {
  static_assert(std::is_trivially_copyable_v<Cell>);
  const size_t count = kPage / piece;
  auto* cells = static_cast<Cell*>(std::calloc(count, sizeof(Cell)));  // as Cell{}
  check(cells != nullptr, ErrorKind::cuda, "emulated device: no memory left to watch its memory");
  if (page.cells != nullptr) {
    for (size_t i = 0; i < count; ++i) cells[i] = page.cells[i * piece / page.piece];
    std::free(page.cells);
  } else if (page.fresh) {
    std::memset(base_ + index * kPage, 0xff, kPage);
  } else {
    for (size_t i = 0; i < count; ++i) cells[i].write.stretch = kNoMemory;
  }
  page = {cells, piece, false};
}

void Shadow::forget_order() {
  for (size_t i = 0; i < used_; ++i) {
    if (pages_[i].cells == nullptr) continue;
    for (size_t c = 0; c < kPage / pages_[i].piece; ++c) {
      Access& write = pages_[i].cells[c].write;
      const uint32_t kept = write.stretch == kNoMemory ? kNoMemory : std::min(write.stretch, 1u);
      pages_[i].cells[c] = {};
      write.stretch = kept;
    }
  }
}

}  // namespace tensor::cuda::emulation
