// Kernels while the program ends: in the destructor of a static object, which may be destroyed after
// everything that was made later, and on a thread that nobody waits for.
#include <thread>

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

TEST_CASE("exit: static objects compute when all that was made later is gone") {
  CHECK(run_alone("part of exit: a static object computes") == kDone);
  CHECK(run_alone("part of exit: a static object is the first that computes") == kDone);
  CHECK(run_alone("part of exit: a thread goes on computing") == kDone);
}
