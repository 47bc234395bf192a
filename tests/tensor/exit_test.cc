// Kernels while the program ends: in the destructor of a static object, which may be destroyed after
// everything that was made later, and on a thread that nobody waits for.
#include <sys/resource.h>

#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#include "tensor/allocator.h"
#include "tests/child.h"
#include "tests/tensor/reference.h"

using namespace tests;

namespace {

// Large enough for all threads, and for oneDNN where there is one. Whole numbers: the same bits either way.
bool computes() {
  const Tensor a = Tensor::full({200, 300}, 3), b = Tensor::full({250, 300}, 2);
  for (const bool transposed : {false, true}) {
    Tensor c = Tensor::empty({200, 250});
    tensor::kernels::matmul(c, a, transposed ? b.t() : b.t().contiguous(), 1, 0);
    for (const double value : values(c))
      if (value != 1800) return false;
  }
  const Tensor x = Tensor::full({1'000'000}, 9);
  Tensor y = Tensor::empty(x.shape());
  tensor::kernels::unary(y, x, tensor::UnaryOp::sqrt);
  return y.select(0, 999'999).item() == 3;
}

// Made before main, so destroyed after all that kernels make in it.
bool armed = false, right = true;
struct Last {
  ~Last() {
    if (armed) _exit(right && computes() ? tests::kDone : 1);
  }
};
struct LastButOne {
  ~LastButOne() {
    if (!armed) return;
    right = computes();
    tensor::empty_cache();
    right = right && computes();
  }
};
const Last last;
const LastButOne last_but_one;  // made after it, destroyed before it

}  // namespace

TEST_CASE("part of exit: a static object computes" * doctest::skip()) {
  tensor::set_num_threads(3);
  armed = computes();
  std::exit(2);
}

TEST_CASE("part of exit: a static object is the first that computes" * doctest::skip()) {
  tensor::set_num_threads(3);
  armed = true;
  std::exit(2);
}

TEST_CASE("part of exit: a thread goes on computing" * doctest::skip()) {
  tensor::set_num_threads(3);
  armed = computes();
  std::thread([] {
    while (computes()) {
    }
    _exit(3);
  }).detach();
  std::exit(2);
}

// Of oneDNN alone; the sanitizers' malloc ends the program.
#if defined(IMGCAP_HAVE_ONEDNN) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Takes what the heap has in larger pieces, while the system gives no more.
class NoMemory {
 public:
  NoMemory() {
    taken_.reserve(1 << 16);
    getrlimit(RLIMIT_AS, &before_);
    const rlimit none{0, before_.rlim_max};
    setrlimit(RLIMIT_AS, &none);
    for (size_t size = 1 << 20; size >= 8192; size /= 2)
      while (void* block = taken_.size() < taken_.capacity() ? std::malloc(size) : nullptr)
        taken_.push_back(block);
  }
  ~NoMemory() {
    for (void* block : taken_) std::free(block);
    setrlimit(RLIMIT_AS, &before_);
  }
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;

 private:
  std::vector<void*> taken_;
  rlimit before_;
};

TEST_CASE("part of exit: no memory for the first product" * doctest::skip()) {
  tensor::set_num_threads(1);
  const Tensor a = Tensor::full({200, 300}, 3), b = Tensor::full({300, 250}, 2);
  Tensor c = Tensor::empty({200, 250});
  try {
    const NoMemory none;
    tensor::kernels::matmul(c, a, b, 1, 0);
  } catch (const std::bad_alloc&) {
  }
  std::exit(computes() ? kDone : 1);  // waits for all products that have begun
}

TEST_CASE("exit: a product that threw is not waited for") {
  CHECK(run_alone("part of exit: no memory for the first product") == kDone);
}
#endif

TEST_CASE("exit: static objects compute when all that was made later is gone") {
  CHECK(run_alone("part of exit: a static object computes") == kDone);
  CHECK(run_alone("part of exit: a static object is the first that computes") == kDone);
  CHECK(run_alone("part of exit: a thread goes on computing") == kDone);
}
