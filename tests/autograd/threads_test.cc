// Several threads run backward passes into the same leaves.
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "autograd/engine.h"
#include "autograd/node.h"
#include "autograd/observer.h"
#include "autograd/ops.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::values;

namespace {

constexpr int kThreads = 4;

// Calls f on threads that begin together.
template <class F>
void on_threads(const F& f) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      ++ready;
      while (ready < kThreads) std::this_thread::yield();
      f();
    });
  for (std::thread& thread : threads) thread.join();
}

int64_t count_other_than(const Tensor& x, double expected) {
  int64_t wrong = 0;
  for (const double v : values(x)) wrong += v != expected;
  return wrong;
}

// Looks at each gradient that has arrived, which another thread might want to change.
class Reader final : public Observer {
 public:
  void backward_ended(const Node&, const Variables& gradients, const Variables&) override {
    for (const Variable& gradient : gradients)
      if (gradient.defined()) sum_ += gradient.data().data<double>()[0];
  }

 private:
  double sum_ = 0;
};

}  // namespace

TEST_CASE("threads that share a leaf lose no gradient") {
  for (const bool observed : {false, true}) {
    CAPTURE(observed);
    for (int round = 0; round < 20; ++round) {  // each begins with a first gradient
      const Variable w(Tensor::zeros({5'000}, DType::f64), true);
      on_threads([&] {
        std::optional<Reader> reader;
        if (observed) reader.emplace();
        for (int i = 0; i < 30; ++i) sum(w * 2.0).backward();
      });
      REQUIRE(count_other_than(w.grad().data(), 2.0 * 30 * kThreads) == 0);
    }
  }
}

TEST_CASE("threads that share a leaf lose no gradient with create_graph, nor where some ask for it") {
  for (const bool all : {true, false}) {
    CAPTURE(all);
    const int64_t before = live_node_count();
    {
      Variable w(Tensor::full({300}, 3, DType::f64), true);
      std::atomic<int> next{0};
      on_threads([&] {
        const bool create_graph = all || next++ % 2 == 0;
        for (int i = 0; i < 40; ++i) sum(w * w).backward({}, false, create_graph);
      });
      CHECK(count_other_than(w.grad().data(), 6.0 * 40 * kThreads) == 0);
      if (all) CHECK(grad({sum(w.grad())}, {w})[0].data().select(0, 0).item() == 2.0 * 40 * kThreads);
      w.zero_grad();
    }
    CHECK(live_node_count() == before);
  }
}

TEST_CASE("threads that share a leaf find one accumulator, and may share a graph that is retained") {
  const Variable w(Tensor::full({50}, 3, DType::f64), true);
  for (int round = 0; round < 200; ++round) {
    std::mutex mutex;
    std::vector<std::shared_ptr<Node>> found;
    on_threads([&] {
      const std::shared_ptr<Node> node = w.gradient_edge().node;
      const std::lock_guard lock(mutex);
      found.push_back(node);
    });
    for (const auto& node : found) REQUIRE(node == found[0]);
  }
  const Variable loss = sum(exp(w) * w);
  loss.backward({}, true);
  const double once = w.grad().data().select(0, 0).item();
  on_threads([&] {
    for (int i = 0; i < 10; ++i) loss.backward({}, true);
  });
  CHECK(w.grad().data().select(0, 0).item() == doctest::Approx(once * (1 + 10 * kThreads)).epsilon(1e-12));
}
