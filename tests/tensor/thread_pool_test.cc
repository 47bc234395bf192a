// What parallel_for promises: tiles by the grain alone, on all threads, with denormals flushed, errors passed
// on.
#include "tensor/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "tests/tensor/reference.h"

using namespace tests;

namespace {

// Gives the former number back, whatever ends the test.
class Threads {
 public:
  explicit Threads(int n) : before_(tensor::num_threads()) { tensor::set_num_threads(n); }
  ~Threads() { tensor::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

// False when it did not become true within many seconds: a test that fails is better than one that hangs.
template <class F>
bool becomes_true(const F& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// The threads that take `n` tiles when each waits for the others.
std::set<std::thread::id> threads_of(int n) {
  std::atomic<int> arrived{0};
  std::mutex mutex;
  std::set<std::thread::id> ids;
  tensor::parallel_for(n, 1, [&](int64_t, int64_t) {
    ++arrived;
    becomes_true([&] { return arrived >= n; });
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  return ids;
}

using Tiles = std::vector<std::pair<int64_t, int64_t>>;

Tiles tiles_of(int64_t n, int64_t grain) {
  std::mutex mutex;
  Tiles tiles;
  tensor::parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    tiles.emplace_back(begin, end);
  });
  std::sort(tiles.begin(), tiles.end());
  return tiles;
}

// Whether half of the least normal number is 0 to this thread.
bool flushes_denormals() {
  volatile float least = std::numeric_limits<float>::min();
  volatile float half = least * 0.5f;
  return half == 0;
}

// Whether a denormal that is there already counts as 0.
bool takes_denormals_for_zero() {
  volatile float denormal = std::numeric_limits<float>::denorm_min();
  volatile float large = denormal * 1e38f;
  return large == 0;
}

}  // namespace

TEST_CASE("parallel_for: tiles depend on the grain alone") {
  for (const int threads : {1, 2, 4}) {
    CAPTURE(threads);
    const Threads use(threads);
    CHECK(tiles_of(10, 4) == Tiles{{0, 4}, {4, 8}, {8, 10}});
    CHECK(tiles_of(8, 4) == Tiles{{0, 4}, {4, 8}});
    CHECK(tiles_of(9, 4) == Tiles{{0, 4}, {4, 8}, {8, 9}});
    CHECK(tiles_of(4, 4) == Tiles{{0, 4}});
    CHECK(tiles_of(3, 100) == Tiles{{0, 3}});
    CHECK(tiles_of(3, 0) == Tiles{{0, 1}, {1, 2}, {2, 3}});  // a grain of less than 1 is 1
    CHECK(tiles_of(2, -5) == Tiles{{0, 1}, {1, 2}});
    CHECK(tiles_of(0, 4).empty());
    CHECK(tiles_of(-3, 4).empty());
    CHECK(tiles_of(100'000, 7).size() == 14286);
  }
}

TEST_CASE("parallel_for: as many threads as were asked for, the caller among them, also after a rest") {
  const auto self = std::this_thread::get_id();
  for (const int threads : {2, 4, 3}) {
    CAPTURE(threads);
    const Threads use(threads);
    CHECK(tensor::num_threads() == threads);
    for (const int rest : {0, 0, 20}) {  // after 20 milliseconds the workers sleep
      std::this_thread::sleep_for(std::chrono::milliseconds(rest));
      const auto ids = threads_of(threads);
      CHECK(ids.size() == static_cast<size_t>(threads));
      CHECK(ids.count(self) == 1);
    }
  }
  const Threads one(1);
  std::vector<int64_t> order;
  bool elsewhere = false;
  tensor::parallel_for(50, 3, [&](int64_t begin, int64_t) {
    order.push_back(begin);
    elsewhere = elsewhere || std::this_thread::get_id() != self;
  });
  CHECK_FALSE(elsewhere);
  CHECK(order.size() == 17);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("parallel_for: inside another one it stays on its thread, and afterwards it does not") {
  const Threads use(3);
  std::atomic<int> arrived{0}, strayed{0}, visited{0};
  tensor::parallel_for(3, 1, [&](int64_t, int64_t) {
    ++arrived;
    becomes_true([&] { return arrived >= 3; });
    const auto outer = std::this_thread::get_id();
    for (int twice = 0; twice < 2; ++twice)
      tensor::parallel_for(20, 1, [&](int64_t, int64_t) {
        ++visited;
        if (std::this_thread::get_id() != outer) ++strayed;
      });
  });
  CHECK(strayed.load() == 0);
  CHECK(visited.load() == 120);
  CHECK(threads_of(3).size() == 3);
}

TEST_CASE("parallel_for: the error of a tile arrives when all tiles have ended, and the pool goes on") {
  for (const int threads : {2, 4}) {
    CAPTURE(threads);
    const Threads use(threads);
    for (const bool all : {false, true}) {
      std::atomic<int> ended{0};
      const auto run = [&] {
        tensor::parallel_for(100, 1, [&](int64_t begin, int64_t) {
          ++ended;
          if (all || begin == 42) tensor::fail(ErrorKind::data, "tile {}", begin);
        });
      };
      CHECK_THROWS_WITH_AS(run(), doctest::Contains(all ? "tile " : "tile 42"), tensor::Error);
      CHECK(ended.load() == 100);
      CHECK(threads_of(threads).size() == static_cast<size_t>(threads));
      CHECK(tiles_of(10, 4).size() == 3);  // and the old error is gone
    }
  }
  const Threads one(1);
  CHECK_THROWS_WITH_AS(
      tensor::parallel_for(9, 1,
                           [](int64_t begin, int64_t) { tensor::fail(ErrorKind::data, "tile {}", begin); }),
      "tile 0", tensor::Error);
}

TEST_CASE("parallel_for: denormals are flushed in every tile, and on the caller only there") {
  CHECK_FALSE(flushes_denormals());
  CHECK_FALSE(takes_denormals_for_zero());
  for (const int threads : {1, 3}) {
    CAPTURE(threads);
    const Threads use(threads);
    std::atomic<int> arrived{0}, wrong{0};
    tensor::parallel_for(threads, 1, [&](int64_t, int64_t) {
      ++arrived;
      becomes_true([&] { return arrived >= threads; });
      if (!flushes_denormals() || !takes_denormals_for_zero()) ++wrong;
      tensor::parallel_for(2, 1, [&](int64_t, int64_t) {
        if (!flushes_denormals()) ++wrong;
      });
      if (!flushes_denormals()) ++wrong;
    });
    CHECK(wrong.load() == 0);
    CHECK_FALSE(flushes_denormals());
    CHECK_FALSE(takes_denormals_for_zero());
    CHECK_THROWS(tensor::parallel_for(5, 1, [](int64_t, int64_t) { tensor::fail(ErrorKind::data, "no"); }));
    CHECK_FALSE(flushes_denormals());
  }
}

TEST_CASE("parallel_for: a thread that finds the pool taken goes alone, and waits for nobody") {
  const Threads use(2);
  std::atomic<bool> started{false}, second_done{false};
  bool first_saw_it = false;
  std::thread first([&] {
    tensor::parallel_for(2, 1, [&](int64_t begin, int64_t) {
      started = true;
      const bool ended = becomes_true([&] { return second_done.load(); });
      if (begin == 0) first_saw_it = ended;
    });
  });
  CHECK(becomes_true([&] { return started.load(); }));
  const auto self = std::this_thread::get_id();
  int64_t sum = 0;
  bool elsewhere = false;
  tensor::parallel_for(1000, 10, [&](int64_t begin, int64_t end) {
    elsewhere = elsewhere || std::this_thread::get_id() != self;
    for (int64_t i = begin; i < end; ++i) sum += i;
  });
  second_done = true;
  first.join();
  CHECK(first_saw_it);
  CHECK_FALSE(elsewhere);
  CHECK(sum == 499'500);
  CHECK(threads_of(2).size() == 2);  // it has been given back
}

TEST_CASE("parallel_for: calls of several threads do not mix") {
  const Threads use(2);
  std::atomic<int> wrong{0};
  const auto work = [&] {
    for (int round = 0; round < 300; ++round) {
      std::atomic<int64_t> sum{0};
      tensor::parallel_for(64, 1, [&](int64_t begin, int64_t) { sum += begin + 1; });
      if (sum != 64 * 65 / 2) ++wrong;
    }
  };
  std::thread one(work), two(work);
  work();
  one.join();
  two.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("the number of threads has bounds") {
  const Threads keep(2);
  for (const int bad : {0, -1, 257})
    check_error(ErrorKind::argument, {std::to_string(bad), "between 1 and 256"},
                [&] { tensor::set_num_threads(bad); });
  CHECK(tensor::num_threads() == 2);
  for (const int good : {256, 1}) {
    tensor::set_num_threads(good);
    CHECK(tensor::num_threads() == good);
  }
}
