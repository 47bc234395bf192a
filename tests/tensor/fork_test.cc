// Kernels in a child after fork(), which has none of the parent's threads.
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "tensor/fork.h"
#include "tensor/random.h"
#include "tests/child.h"
#include "tests/skip.h"
#include "tests/tensor/reference.h"

using namespace tests;

// A child waits for ever for a lock of the address sanitizer's own allocator (that of g++ 12) which another thread held.
#if defined(__SANITIZE_ADDRESS__)
#define SKIP_FORK_IF_ADDRESSES_ARE_WATCHED() SKIP("the address sanitizer's allocator does not know of fork()")
#else
#define SKIP_FORK_IF_ADDRESSES_ARE_WATCHED() static_cast<void>(0)
#endif

namespace {

// Whole numbers, so that every way to sum them gives the same bits; large enough for all threads.
double product() {
  const Tensor a = Tensor::full({200, 300}, 3), b = Tensor::full({300, 250}, 2);
  Tensor c = Tensor::empty({200, 250});
  tensor::kernels::matmul(c, a, b, 1, 0);
  Tensor total = Tensor::empty({1, 1});
  tensor::kernels::reduce(total, c, {0, 1}, tensor::ReduceOp::sum);
  return total.item();
}

double root() {
  const Tensor x = Tensor::full({1'000'000}, 9);
  Tensor y = Tensor::empty(x.shape());
  tensor::kernels::unary(y, x, tensor::UnaryOp::sqrt);
  return y.select(0, 999'999).item();
}

constexpr double kProduct = 200.0 * 250 * 300 * 6;

bool computes() { return product() == kProduct && root() == 3; }

// As many threads as are asked for, whatever the machine has.
class Threads {
 public:
  explicit Threads(int n) : before_(tensor::num_threads()) { tensor::set_num_threads(n); }
  ~Threads() { tensor::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

// Computes on a thread of its own for as long as it lives.
class Busy {
 public:
  Busy()
      : thread_([this] {
          while (!stop_) computes();
        }) {}
  ~Busy() {
    stop_ = true;
    thread_.join();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("fork: a child computes what its parent does, and so does its own child") {
  const Threads three(3);
  REQUIRE(computes());  // the pool has its threads
  CHECK(in_fork([] { return computes() && computes() ? 0 : 1; }) == 0);
  CHECK(in_fork([] { return computes() ? in_fork([] { return computes() ? 0 : 2; }) : 1; }) == 0);
  CHECK(in_fork([] { return in_fork([] { return computes() ? 0 : 2; }); }) == 0);
  CHECK(in_fork([] {
          tensor::set_num_threads(2);
          return computes() ? 0 : 1;
        }) == 0);
  CHECK(computes());  // and the parent's pool is as it was
}

TEST_CASE("fork: while another thread draws numbers that all threads share") {
  std::atomic<bool> stop{false};
  std::thread drawing([&] {
    while (!stop) tensor::default_generator().take(1);
  });
  int failed = 0;
  for (int i = 0; i < 50 && failed == 0; ++i)
    failed = in_fork([] {
      tensor::default_generator().take(1);
      return 0;
    });
  stop = true;
  drawing.join();
  CHECK(failed == 0);
}

TEST_CASE("fork: while other threads compute and allocate") {
  SKIP_FORK_IF_ADDRESSES_ARE_WATCHED();
  const Threads three(3);
  const Busy one, two;
  for (int i = 0; i < 20; ++i) REQUIRE(in_fork([] { return computes() ? 0 : 1; }) == 0);
  // A child's own child, too: of the threads that were asking to compute, the first child has none.
  for (int i = 0; i < 10; ++i)
    REQUIRE(in_fork([] { return in_fork([] { return computes() ? 0 : 1; }); }) == 0);
}

TEST_CASE("fork: waits for locks that are nobody's to hold for it") {
  using tensor::internal::NoFork;
  std::mutex mutex;  // as one of a library
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) {
      const NoFork no_fork;
      const NoFork again;
      const std::lock_guard lock(mutex);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  const auto free_in_child = [&] {
    return in_fork([&] {
      const NoFork no_fork;  // nobody forks in the child
      return mutex.try_lock() ? 0 : 1;
    });
  };
  int taken = 0;
  for (int i = 0; i < 30; ++i) taken += free_in_child();
  {
    const NoFork own;  // who forks does not wait for himself
    taken += free_in_child();
  }
  stop = true;
  other.join();
  CHECK(taken == 0);
}

TEST_CASE("forks during a program's first products" * doctest::skip()) {
  std::atomic<bool> ready{false};
  std::thread first([&] {
    ready = true;
    computes();
  });
  while (!ready) std::this_thread::yield();
  int failed = 0;
  for (int i = 0; i < 10 && failed == 0; ++i) failed = in_fork([] { return computes() ? 0 : 1; });
  first.join();
  _exit(failed == 0 ? kDone : failed);
}

TEST_CASE("fork: while another thread makes what the first product needs") {
  SKIP_FORK_IF_ADDRESSES_ARE_WATCHED();
  for (int i = 0; i < 10; ++i) REQUIRE(run_alone("forks during a program's first products") == kDone);
}
