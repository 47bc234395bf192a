// Graphs of a million nodes, each built, differentiated and dropped on a stack that any recursion along the
// graph would overflow.
#include <doctest/doctest.h>
#include <pthread.h>

#include <exception>
#include <functional>

#include "autograd/engine.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "tensor/allocator.h"

using namespace autograd;

namespace {

constexpr size_t kStackBytes = size_t{256} << 10;
// Instrumented code is slow, and 100,000 are enough for an overflow: 2.6 bytes of stack a node.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kMillion = 100'000;
#else
constexpr int kMillion = 1'000'000;
#endif
constexpr int kMany = 100'000;

struct Call {
  std::function<void()> action;
  std::exception_ptr error;
};

// Runs `action` on a thread with a stack of kStackBytes; returns what is live more than before.
struct Leaked {
  int64_t nodes = 0, blocks = 0;
};
Leaked on_small_stack(std::function<void()> action) {
  // Tensors of one element never reach the pool, whose threads have stacks of their own.
  const int64_t nodes = live_node_count(), blocks = tensor::allocator_statistics().blocks_in_use;
  Call call{std::move(action), nullptr};
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, kStackBytes) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(
              &thread, &attributes,
              [](void* argument) -> void* {
                Call& c = *static_cast<Call*>(argument);
                try {
                  c.action();
                } catch (...) {
                  c.error = std::current_exception();
                }
                return nullptr;
              },
              &call) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  pthread_attr_destroy(&attributes);
  if (call.error) std::rethrow_exception(call.error);
  return {live_node_count() - nodes, tensor::allocator_statistics().blocks_in_use - blocks};
}

Variable scalar(double value) { return Variable(Tensor::scalar(value, DType::f64), true); }

// x + kNodes * 1e-6, a node at a time.
Variable chain(const Variable& x, int nodes) {
  Variable y = x;
  for (int i = 0; i < nodes; ++i) y = affine(y, 1, 1e-6);
  return y;
}

// x again, through `nodes` nodes that are used twice each: 2^(nodes / 2) paths.
Variable diamonds(const Variable& x, int nodes) {
  Variable y = x;
  for (int i = 0; i < nodes; i += 2) y = affine(y + y, 0.5, 0);
  return y;
}

// A chain in which every node saves its inputs, so that the graph hangs together twice: by edges, and by
// saved variables.
Variable products(const Variable& x, int nodes) {
  const Variable one(Tensor::scalar(1, DType::f64));
  Variable y = x;
  for (int i = 0; i < nodes; ++i) y = y * one;
  return y;
}

Variables leaves(int count) {
  Variables all;
  all.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) all.push_back(scalar(i));
  return all;
}

// A balanced tree of sums over the variables: as many nodes as there are leaves, and as many accumulators.
Variable tree(Variables level) {
  while (level.size() > 1) {
    Variables next;
    next.reserve(level.size() / 2 + 1);
    for (size_t i = 0; i + 1 < level.size(); i += 2) next.push_back(level[i] + level[i + 1]);
    if (level.size() % 2 == 1) next.push_back(level.back());
    level = std::move(next);
  }
  return level[0];
}

void check_nothing_left(const Leaked& leaked) {
  CHECK(leaked.nodes == 0);
  CHECK(leaked.blocks == 0);
}

}  // namespace

TEST_CASE("a million nodes: backward, and dropped without it, on a small stack") {
  for (const auto& make : {chain, diamonds}) {
    double value = 0, slope = 0;
    int64_t live = 0;
    check_nothing_left(on_small_stack([&] {
      const Variable x = scalar(1);
      const Variable y = make(x, kMillion);
      live = live_node_count();
      value = y.item();
      y.backward();
      slope = x.grad().item();
    }));
    CHECK(live >= kMillion);
    CHECK(value == doctest::Approx(make == chain ? 1 + kMillion * 1e-6 : 1));
    CHECK(slope == 1);
  }
  check_nothing_left(on_small_stack([&] { chain(scalar(1), kMillion); }));
}

TEST_CASE("a graph that is held in its middle only goes in two parts") {
  for (const auto& make : {chain, diamonds, products}) {
    double slope = 0;
    check_nothing_left(on_small_stack([&] {
      const Variable x = scalar(1);
      Variable y = make(x, kMany);
      const Variable middle = y;
      y = make(y, kMany);
      y = {};
      middle.backward();
      slope = x.grad().item();
    }));
    CHECK(slope == 1);
    check_nothing_left(on_small_stack([&] { make(scalar(1), kMany); }));
  }
}

TEST_CASE("very many leaves under one root, on a small stack") {
  int64_t wrong = -1;
  check_nothing_left(on_small_stack([&] {
    const Variables all = leaves(kMany);
    tree(all).backward();
    wrong = 0;
    for (const Variable& leaf : all) wrong += leaf.grad().item() != 1;
  }));
  CHECK(wrong == 0);
  check_nothing_left(on_small_stack([&] { tree(leaves(kMany)); }));
  // As inputs of one node.
  double total = 0;
  check_nothing_left(on_small_stack([&] {
    Variables all;
    for (int i = 0; i < kMany; ++i) all.push_back(Variable(Tensor::full({1}, i, DType::f64), true));
    sum(cat(all, 0)).backward();
    for (const Variable& leaf : all) total += leaf.grad().item();
  }));
  CHECK(total == kMany);
}

TEST_CASE("the graph that create_graph records is differentiated and dropped on a small stack") {
  double first = 0, second = 0;
  for (const bool differentiate : {true, false}) {
    CAPTURE(differentiate);
    check_nothing_left(on_small_stack([&] {
      const Variable x = scalar(3);
      const Variable y = square(products(x, kMany));
      const Variable slope = grad({y}, {x}, {}, false, true)[0];
      first = slope.item();
      if (differentiate) second = grad({slope}, {x})[0].item();
    }));
    CHECK(first == 6);
  }
  CHECK(second == 2);
  // backward() makes x.grad() part of the graph, which holds x: a cycle until the gradient is let go.
  check_nothing_left(on_small_stack([&] {
    Variable x = scalar(3);
    square(products(x, kMany)).backward({}, false, true);
    first = x.grad().item();
    x.zero_grad();
  }));
  CHECK(first == 6);
}

TEST_CASE("gradients that have gradients, a million deep, are dropped on a small stack") {
  check_nothing_left(on_small_stack([&] {
    Variable x = scalar(0);
    for (int i = 0; i < kMillion; ++i) {
      Variable outer = scalar(0);
      outer.set_grad(std::move(x));
      x = std::move(outer);
    }
  }));
}
