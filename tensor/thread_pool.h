// The one thread pool. Work is cut into tiles whose bounds depend on the grain alone, never on the number of
// threads, so 1, 2 and 4 threads give the same bits.
#pragma once

#include <cstdint>
#include <type_traits>

namespace tensor {

// The number of threads that parallel_for may use, the caller included. The default is the number of
// processors that the process may run on. Not to be changed while another thread computes.
int num_threads();
void set_num_threads(int n);  // argument error unless 1 <= n <= 256

// Sets flush-to-zero and denormals-are-zero on this thread and restores the former state: saturated gates
// make denormals, which cost a hundred times a normal multiplication.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned previous_;
};

namespace internal {
using RangeFunction = void (*)(void* context, int64_t begin, int64_t end);
void parallel_for(int64_t n, int64_t grain, RangeFunction function, void* context);
}  // namespace internal

// Calls f(begin, end) for the tiles [0, grain), [grain, 2 grain), ... of [0, n), in any order and on any
// thread, with denormals flushed; a grain below 1 counts as 1. One tile, one thread, or a call from inside
// another parallel_for runs on the caller. The first exception thrown by f is rethrown here once all tiles
// have ended.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  internal::parallel_for(
      n, grain,
      [](void* context, int64_t begin, int64_t end) {
        (*static_cast<std::remove_reference_t<F>*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// Calls f(i) for each i of [0, n), `grain` of them in a tile.
template <class F>
void parallel_each(int64_t n, int64_t grain, F&& f) {
  parallel_for(n, grain, [&f](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace tensor
