#include "autograd/engine.h"

#include <functional>
#include <thread>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "tensor/allocator.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::check_error;
using tests::values;

namespace {

Variable leaf(std::vector<double> v, const Shape& shape) { return Variable(Tensor::from(v, shape), true); }
Variable scalar(double v) { return Variable(Tensor::scalar(v, DType::f64), true); }
using Values = std::vector<double>;

// An op whose backward pass gives what the test wants.
class Faulty final : public Node {
 public:
  explicit Faulty(Variables results) : Node("faulty"), results_(std::move(results)) {}
  Variables apply(const Variables&) override { return results_; }

 private:
  Variables results_;
};

Variable faulty(const Variable& x, Variables results) {
  return record<Faulty>(x.data().clone(), {x}, std::move(results));
}

}  // namespace

TEST_CASE("the chain rule, by hand: y = (3x + 1)^2 e^x") {
  const Variable x = scalar(0.5);
  const Variable y = square(3 * x + 1) * exp(x);
  y.backward();
  // y' = (3x + 1) e^x (6 + 3x + 1)
  CHECK(x.grad().item() == doctest::Approx(2.5 * std::exp(0.5) * 8.5).epsilon(1e-14));
}

TEST_CASE("diamonds and repeated use add up") {
  const Variable x = leaf({1, 2, 3}, {3});
  sum(x * x).backward();
  CHECK(values(x.grad().data()) == Values{2, 4, 6});
  const Variable z = scalar(2);
  const Variable a = z * 3, b = z * z, c = a * b, d = a + b;  // c = 3 z^3, d = 3 z + z^2
  (c * d + c).backward();                                     // 9 z^4 + 3 z^5 + 3 z^3
  CHECK(z.grad().item() == 36 * 8 + 15 * 16 + 9 * 4);
  const Variable w = scalar(5);
  add(w, w).backward();
  CHECK(w.grad().item() == 2);
}

TEST_CASE("gradients accumulate over backward passes until zero_grad") {
  Variable x = scalar(3);
  square(x).backward();
  square(x).backward();
  CHECK(x.grad().item() == 12);
  x.zero_grad();
  CHECK(!x.grad().defined());
  square(x).backward();
  CHECK(x.grad().item() == 6);
}

TEST_CASE("retain_graph allows a second backward; without it the error says so") {
  const Variable x = scalar(3), y = square(x);
  y.backward({}, /*retain_graph=*/true);
  y.backward();
  CHECK(x.grad().item() == 12);
  check_error(ErrorKind::autograd, {"square", "second time", "retain_graph"}, [&] { y.backward(); });
}

TEST_CASE("a saved tensor changed in place is an error that names the op and both versions") {
  Variable x = leaf({1, 2}, {2}), w = leaf({3, 4}, {2});
  const Variable y = sum(x * w);
  w.mutable_data().fill_(9);
  check_error(ErrorKind::autograd, {"mul", "(2) f64", "in place", "version"}, [&] { y.backward(); });
  Variable z = leaf({1, 2}, {2});
  Variable e = exp(z);  // saves its own output
  Tensor view = e.mutable_data().slice(0, 0, 1);
  view.fill_(0);  // through a view
  check_error(ErrorKind::autograd, {"exp", "in place"}, [&] { sum(e).backward(); });
  // What was not saved may change.
  Variable u = leaf({1, 2}, {2}), v = leaf({3, 4}, {2});
  const Variable s = sum(u + v);
  u.mutable_data().fill_(0);
  s.backward();
  CHECK(values(v.grad().data()) == Values{1, 1});
}

TEST_CASE("a saved variable that got another tensor is an error that names the op and both") {
  const auto replaced = [](const std::function<void(Variable&)>& replace) {
    Variable x = leaf({1, 2, 3, 4}, {2, 2});
    const Variable y = x * x;
    replace(x);
    check_error(ErrorKind::autograd, {"mul", "(2, 2) f64", "another"}, [&] { sum(y).backward(); });
  };
  replaced([](Variable& x) { x.mutable_data() = Tensor::full({2, 2}, 5, DType::f64); });
  replaced([](Variable& x) { x.mutable_data() = x.data().clone(); });
  replaced([](Variable& x) { x.mutable_data() = x.data().t(); });  // the same memory, seen otherwise
  replaced([](Variable& x) { x.mutable_data() = x.data().to(DType::f32); });
  replaced([](Variable& x) {
    Variable other = leaf({5, 6, 7, 8}, {2, 2});
    std::swap(x.mutable_data(), other.mutable_data());
  });
  replaced([](Variable& x) {  // many times: some tensor gets the memory that the first had
    for (int i = 0; i < 100; ++i) {
      x.mutable_data() = Tensor();
      x.mutable_data() = Tensor::from<double>({1, 2, 3, 4}, {2, 2});
    }
  });
  // Back in its place, it is what was saved.
  Variable x = leaf({3}, {1}), other = leaf({5}, {1});
  const Variable y = x * x;
  std::swap(x.mutable_data(), other.mutable_data());
  std::swap(x.mutable_data(), other.mutable_data());
  y.backward();
  CHECK(x.grad().item() == 6);
  // A result that an op has saved.
  Variable r = exp(leaf({1, 2}, {2}));
  const Variable s = r * r;
  r.mutable_data() = Tensor::zeros({2}, DType::f64);
  check_error(ErrorKind::autograd, {"mul", "another"}, [&] { sum(s).backward(); });
  // A constant.
  const Variable w = leaf({3, 4}, {2});
  Variable c(Tensor::from<double>({1, 2}, {2}));
  const Variable p = w * c;
  c.mutable_data() = Tensor::from<double>({1, 2}, {2});
  check_error(ErrorKind::autograd, {"mul", "another"}, [&] { sum(p).backward(); });
  // The same where the new one lands: the node does not keep a constant's memory.
  c.mutable_data() = Tensor::from<double>({1, 2}, {2});
  const Variable q = w * c;
  const std::byte* const place = c.data().raw();
  const uint64_t version = c.data().version();
  c.mutable_data() = Tensor();
  c.mutable_data() = Tensor::from<double>({5, 6}, {2});
  REQUIRE(c.data().raw() == place);
  REQUIRE(c.data().version() == version);
  check_error(ErrorKind::autograd, {"mul", "another"}, [&] { sum(q).backward(); });
  // What no op has saved may be replaced, by what its gradient fits.
  Variable u = leaf({1, 2}, {2});
  const Variable t = sum(u + 1.0);
  u.mutable_data() = Tensor::zeros({2}, DType::f64);
  t.backward({}, true);
  CHECK(values(u.grad().data()) == Values{1, 1});
  u.zero_grad();
  for (const Tensor& misfit : {Tensor::zeros({3}, DType::f64), Tensor::zeros({2}, DType::f32)}) {
    u.mutable_data() = misfit;
    check_error(ErrorKind::autograd, {"(2) f64", tensor::describe(misfit).text()},
                [&] { t.backward({}, true); });
    CHECK(!u.grad().defined());
  }
}

TEST_CASE("backward with create_graph makes a cycle that zero_grad ends; grad makes none") {
  const int64_t before = live_node_count();
  for (int i = 0; i < 10; ++i) {
    Variable x = scalar(2);
    (x * x * x).backward({}, false, true);
    x.zero_grad();
  }
  CHECK(live_node_count() == before);
  {
    Variable x = scalar(2);
    (x * x * x).backward({}, false, true);
    CHECK(live_node_count() > before);
    CHECK(grad({x.grad()}, {x})[0].item() == 12);
    x.set_grad(x.grad().detach());  // ends it, too
    CHECK(x.grad().item() == 12);
  }
  CHECK(live_node_count() == before);
  for (const bool create_graph : {false, true}) {
    const Variable x = scalar(2);
    const Variable y = x * x * x;
    CHECK(grad({y}, {x}, {}, false, create_graph)[0].item() == 12);
  }
  CHECK(live_node_count() == before);
  {
    // A gradient with a history is not handed on when no graph is asked for.
    Variable x = scalar(2);
    const Variable seed = x * 3, y = x + 1.0;
    const Variables given = grad({y}, {x, y}, {seed}, true);
    for (const Variable& g : given) {
      CHECK(g.item() == 6);
      CHECK(!g.requires_grad());
    }
    x.set_grad(given[0]);
    CHECK(grad({y}, {y}, {seed}, false, true)[0].requires_grad());
  }
  CHECK(live_node_count() == before);
}

TEST_CASE("create_graph gives second and third derivatives") {
  const Variable x = scalar(2);
  const Variable y = x * x * x * x;
  const Variable first = grad({y}, {x}, {}, false, true)[0];
  const Variable second = grad({first}, {x}, {}, false, true)[0];
  const Variable third = grad({second}, {x}, {}, false, true)[0];
  CHECK(first.item() == 32);
  CHECK(second.item() == 48);
  CHECK(third.item() == 48);
  CHECK(!x.grad().defined());
  y.backward({}, false, true);
  CHECK(x.grad().item() == 32);
  CHECK(x.grad().requires_grad());
  // Through a saved output: (e^x)'' = e^x.
  const Variable t = scalar(0.5);
  const Variable slope = grad({exp(t)}, {t}, {}, false, true)[0];
  CHECK(grad({slope}, {t})[0].item() == doctest::Approx(std::exp(0.5)).epsilon(1e-15));
  Variable leak = x;  // x.grad() refers to x's graph: let go of it
  leak.zero_grad();
}

TEST_CASE("fused ops refuse a second derivative") {
  const Variable w = leaf({1, 2, 3, 4}, {2, 2});
  const Variable y = cross_entropy(w, Tensor::zeros({2}, DType::i64));
  check_error(ErrorKind::autograd, {"cross_entropy", "once"}, [&] { y.backward({}, false, true); });
}

TEST_CASE("backward's errors") {
  const Variable x = leaf({1, 2}, {2});
  const Variable y = x * 2;
  check_error(ErrorKind::autograd, {"(2) f64", "scalar"}, [&] { y.backward(); });
  check_error(ErrorKind::shape, {"(3)", "(2)"}, [&] { y.backward(Tensor::zeros({3}, DType::f64)); });
  check_error(ErrorKind::dtype, {"f32", "f64"}, [&] { y.backward(Tensor::zeros({2})); });
  check_error(ErrorKind::autograd, {"does not depend"},
              [&] { sum(Variable(Tensor::zeros({2}))).backward(); });
  check_error(ErrorKind::autograd, {"undefined"}, [&] { backward({Variable()}); });
  check_error(ErrorKind::argument, {"2 gradients", "1 outputs"}, [&] {
    backward({y}, {Variable(), Variable()});
  });
}

TEST_CASE("a node that forgets a gradient, or gives a wrong one, is an internal error") {
  const Variable x = leaf({1, 2}, {2});
  check_error(ErrorKind::internal, {"faulty", "no gradient for input 0"},
              [&] { sum(faulty(x, {Variable()})).backward(); });
  check_error(ErrorKind::internal, {"faulty", "0 gradients for 1 inputs"},
              [&] { sum(faulty(x, {})).backward(); });
  check_error(ErrorKind::internal, {"faulty", "f32", "f64"},
              [&] { sum(faulty(x, {Tensor::zeros({2})})).backward(); });
  check_error(ErrorKind::shape, {"(3)", "(2)"},
              [&] { sum(faulty(x, {Tensor::zeros({3}, DType::f64)})).backward(); });
  // A broadcast gradient is summed.
  sum(faulty(x, {Tensor::full({4, 2}, 1, DType::f64)})).backward();
  CHECK(values(x.grad().data()) == Values{4, 4});
}

TEST_CASE("gradients of broadcast inputs are summed to their shapes") {
  const Variable a = leaf({1, 2, 3}, {3}), b = leaf({10, 20}, {2, 1}), c = scalar(2);
  sum(a * b * c).backward();
  CHECK(values(a.grad().data()) == Values{60, 60, 60});
  CHECK(values(b.grad().data()) == Values{12, 12});
  CHECK(b.grad().shape() == Shape{2, 1});
  CHECK(c.grad().item() == 180);
  CHECK(c.grad().shape() == Shape{});
  const Variable x(Tensor::full({2, 3, 1, 4}, 1, DType::f64));
  const Variable s = sum_to(x, {3, 1, 1});
  CHECK(s.shape() == Shape{3, 1, 1});
  CHECK(values(s.data()) == Values{8, 8, 8});
  check_error(ErrorKind::shape, {"sum_to", "(2, 3, 1, 4)", "(2, 1)"}, [&] { sum_to(x, {2, 1}); });
}

TEST_CASE("no two leaves, and no caller, share a gradient's memory") {
  Variable a = leaf({1, 2}, {2}), b = leaf({3, 4}, {2});
  Tensor seed = Tensor::full({2}, 1, DType::f64);
  add(a, b).backward(seed);
  CHECK(!a.grad().data().shares_storage(b.grad().data()));
  CHECK(!a.grad().data().shares_storage(seed));
  CHECK(!b.grad().data().shares_storage(seed));
  seed.fill_(100);
  CHECK(values(a.grad().data()) == Values{1, 1});
  CHECK(values(b.grad().data()) == Values{1, 1});
}

TEST_CASE("grad gives the gradients of leaves and of results, and leaves grad() alone") {
  const Variable x = scalar(3), y = scalar(4), unused = scalar(1);
  const Variable m = x * y, out = square(m);
  const Variables g = grad({out}, {m, x, y}, {}, true);
  CHECK(g[0].item() == 24);
  CHECK(g[1].item() == 96);
  CHECK(g[2].item() == 72);
  CHECK(!x.grad().defined());
  check_error(ErrorKind::autograd, {"input 1"}, [&] { grad({out}, {x, unused}, {}, true); });
  CHECK(!grad({out}, {x, unused}, {}, true, false, true)[1].defined());
  const Variables two = grad({m, out}, {x}, {Variable(Tensor::scalar(10, DType::f64)), Variable()});
  CHECK(two[0].item() == 40 + 96);
}

TEST_CASE("no graph is recorded without need") {
  const Variable x = scalar(3), plain(Tensor::scalar(2, DType::f64));
  CHECK(square(x).requires_grad());
  CHECK(!square(plain).requires_grad());
  {
    const NoGrad guard;
    CHECK(!square(x).requires_grad());
    const GradMode inner(true);
    CHECK(square(x).requires_grad());
  }
  CHECK(!square(x.detach()).requires_grad());
  (x * plain).backward();
  CHECK(!plain.grad().defined());
  bool other = false;
  const NoGrad guard;
  std::thread([&] { other = grad_enabled(); }).join();
  CHECK(other);  // the mode is the thread's own
}

TEST_CASE("live memory is the same after each of many steps") {
  Variable w = leaf(Values(64 * 64, 0.01), {64, 64}), b = leaf(Values(64, 0.0), {64});
  const Variable x(tests::random({32, 64}, DType::f64, 1));
  Tensor targets = Tensor::zeros({32}, DType::i64);
  int64_t blocks = 0, bytes = 0;
  for (int step = 0; step < 60; ++step) {
    Variable h = x;
    for (int layer = 0; layer < 3; ++layer) h = tanh(sum(unsqueeze(h, 2) * w, {1}) + b);
    const Variable loss = cross_entropy(dropout(softmax(h) + h, 0.1, true), targets);
    loss.backward();
    const tensor::AllocatorStatistics now = tensor::allocator_statistics();
    if (step == 1) blocks = now.blocks_in_use, bytes = now.bytes_in_use;
    if (step > 1) {
      REQUIRE(now.blocks_in_use == blocks);
      REQUIRE(now.bytes_in_use == bytes);
    }
  }
}

TEST_CASE("variables: leaves, results and their errors") {
  Variable x = scalar(1);
  CHECK(x.is_leaf());
  Variable y = x * 2;
  CHECK(!y.is_leaf());
  CHECK(y.grad_fn()->name() == "affine");
  check_error(ErrorKind::autograd, {"affine", "detach"}, [&] { y.set_requires_grad(false); });
  check_error(ErrorKind::dtype, {"i64"}, [] { Variable(Tensor::arange(3), true); });
  check_error(ErrorKind::argument, {"undefined"}, [] { Variable().data(); });
  check_error(ErrorKind::shape, {"(2)", "()"}, [&] { x.set_grad(Tensor::zeros({2}, DType::f64)); });
}
