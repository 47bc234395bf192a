// One generator, several threads.
#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/tensor/reference.h"

using namespace tests;
using tensor::Generator;

namespace {

// Calls f(0), f(1), ... on as many threads, which begin together.
template <class F>
void on_threads(int n, const F& f) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < n; ++t)
    threads.emplace_back([&, t] {
      ++ready;
      while (ready < n) std::this_thread::yield();
      f(t);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("a generator that threads share hands out each block once") {
  constexpr int kThreads = 4, kDraws = 50'000;
  Generator g(3);
  std::vector<std::vector<uint64_t>> taken(kThreads);
  on_threads(kThreads, [&](int t) {
    for (int i = 0; i < kDraws; ++i) {
      const auto [seed, offset] = g.take(static_cast<uint64_t>(1 + i % 3));
      for (int k = 0; k <= i % 3 && seed == 3; ++k)
        taken[static_cast<size_t>(t)].push_back(offset + static_cast<uint64_t>(k));
    }
  });
  std::vector<uint64_t> all;
  for (const auto& some : taken) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  REQUIRE(all.size() == g.offset());
  size_t wrong = 0;
  for (size_t i = 0; i < all.size(); ++i) wrong += all[i] != i;
  CHECK(wrong == 0);
}

TEST_CASE("all draws of a shared generator together are those of one thread") {
  constexpr int kThreads = 3, kDraws = 3'000;
  Generator shared(11), alone(11);
  std::vector<std::vector<uint64_t>> drawn(kThreads);
  on_threads(kThreads, [&](int t) {
    for (int i = 0; i < kDraws; ++i) drawn[static_cast<size_t>(t)].push_back(shared.below(UINT64_MAX));
  });
  std::vector<uint64_t> all, expected;
  for (const auto& some : drawn) all.insert(all.end(), some.begin(), some.end());
  for (int i = 0; i < kThreads * kDraws; ++i) expected.push_back(alone.below(UINT64_MAX));
  std::sort(all.begin(), all.end());
  std::sort(expected.begin(), expected.end());
  CHECK(all == expected);
  CHECK(shared.state() == alone.state());

  // Tensors, too: each is one piece of the stream.
  std::vector<Tensor> tensors(kThreads);
  on_threads(kThreads, [&](int t) {
    Tensor x = Tensor::empty({1001}, DType::f64);
    fill_uniform(x, 0, 1, shared);
    tensors[static_cast<size_t>(t)] = x;
  });
  std::vector<std::vector<double>> filled, one_by_one;
  for (const Tensor& x : tensors) filled.push_back(values(x));
  for (int t = 0; t < kThreads; ++t) {
    Tensor x = Tensor::empty({1001}, DType::f64);
    fill_uniform(x, 0, 1, alone);
    one_by_one.push_back(values(x));
  }
  std::sort(filled.begin(), filled.end());
  std::sort(one_by_one.begin(), one_by_one.end());
  CHECK(filled == one_by_one);
}

TEST_CASE("a generator's seed and offset are set, read and copied as one") {
  // Seed s goes with offsets from s * 2^32 on, whoever looks.
  const auto fits = [](tensor::GeneratorState state) { return state.offset >> 32 == state.seed; };
  Generator g(1);
  g.set_state(1, uint64_t{1} << 32);
  std::atomic<int> wrong{0};
  on_threads(4, [&](int t) {
    for (uint64_t i = 1; i < 20'000; ++i) {
      if (t == 0) {
        g.set_state(i, i << 32);
      } else if (t == 1) {
        Generator copy(g);
        Generator assigned;
        assigned = g;
        if (!fits(copy.state()) || !fits(assigned.state())) ++wrong;
      } else if (!fits(t == 2 ? g.state() : g.take(1))) {
        ++wrong;
      }
    }
  });
  CHECK(wrong.load() == 0);
  g = *&g;  // itself
  CHECK(fits(g.state()));
}
