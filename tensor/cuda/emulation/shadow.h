// What is known of each byte of a device's memory, or of a block's shared memory: who wrote it, and who read it last.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tensor::cuda::emulation {

// Who touched a byte. A stretch is what the threads of a block do from one barrier to the next, or a piece of work that is
// no kernel; all are numbered through. Within one, `clock` counts what a thread's warp exchanged.
struct Access {
  uint32_t stretch = 0;  // 0: nobody yet
  uint32_t place = 0;    // in the program (places.h)
  uint32_t thread : 10 = 0, atomic : 1 = 0, clock : 21 = 0;
};
inline constexpr uint32_t kNoMemory =
    0xffffffffu;  // as the stretch of the last write: the byte is of no block

// Two readers are enough to find a writer that is in order with neither: see record_read in watch.cc.
struct Cell {
  Access write, read, other_read;
};

// Pages have no cells before the first access, and cells for pieces as large as the accesses are: of 8 bytes, or less.
class Shadow {
 public:
  static constexpr size_t kPage = 4096;

  // Of the `bytes` bytes from `base`, of none of which there is memory at first.
  Shadow(std::byte* base, size_t bytes);

  // From here on there is memory that nobody wrote, or none.
  void add(size_t offset, size_t bytes);
  void remove(size_t offset, size_t bytes);

  // The cells of some bytes. There are `count` of them, for `piece` bytes each; the bytes end in this page or go on.
  struct Cells {
    Cell* first;
    size_t count, piece;
  };
  Cells cells(size_t offset, size_t bytes) {
    const Page& page = pages_[offset / kPage];
    const size_t within = offset % kPage;
    if (page.cells != nullptr && within + bytes <= kPage && ((within | bytes) & (page.piece - 1)) == 0)
        [[likely]]
      return {page.cells + within / page.piece, bytes / page.piece, page.piece};
    return make_cells(offset, bytes);
  }
  // All that were written count as written before everything else.
  void forget_order();

  std::byte* base() const { return base_; }

 private:
  struct Page {
    Cell* cells;
    uint32_t piece;
    bool fresh;  // no cells yet, but memory, which nobody wrote
  };

  Cells make_cells(size_t offset, size_t bytes);
  void refine(Page& page, size_t index, uint32_t piece);
  void set(size_t offset, size_t bytes, uint32_t stretch);

  std::byte* base_;
  size_t used_ = 0;  // pages from the start that were ever memory
  Page* pages_;
};

}  // namespace tensor::cuda::emulation
