// What backward leaves in a leaf's grad(): whose memory it is, how it lies there, and what happens to it
// next.
#include <functional>
#include <utility>

#include "autograd/engine.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "tensor/allocator.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::check_error;
using tests::values;

namespace {

using Values = std::vector<double>;
Variable leaf(Values v, const Shape& shape) { return Variable(Tensor::from(v, shape), true); }
Variable scalar(double v) { return Variable(Tensor::scalar(v, DType::f64), true); }
Tensor constant(Values v, const Shape& shape) { return Tensor::from(v, shape); }

Values times(double factor, Values v) {
  for (double& x : v) x *= factor;
  return v;
}

// Two results, 2 x and 3 x; its backward pass notes which of the two got a gradient.
class TwoResults final : public Node {
 public:
  explicit TwoResults(std::string* seen) : Node("two"), seen_(seen) {}
  Variables apply(const Variables& g) override {
    *seen_ += g.size() == 2 ? "" : "not two ";
    for (const Variable& one : g) *seen_ += one.defined() ? "x" : "-";
    const auto or_zeros = [&](size_t i) {
      return g[i].defined() ? g[i]
                            : Variable(Tensor::zeros(output_metas()[i].shape, output_metas()[i].dtype));
    };
    return {or_zeros(0) * 2 + or_zeros(1) * 3};
  }

 private:
  std::string* seen_;
};

Variables two_results(const Variable& x, std::string* seen) {
  const NoGrad guard;
  const std::vector<Tensor> results{(x * 2).data(), (x * 3).data()};
  const GradMode on(true);
  return record_all<TwoResults>(results, {x}, seen);
}

// What the backward passes on this thread do, in order.
class Listener final : public Observer {
 public:
  void backward_begins(const Node& node) override { names.push_back(std::string(node.name())); }
  void backward_ended(const Node& node, const Variables& gradients, const Variables& results) override {
    CHECK(names.back() == node.name());
    CHECK(gradients.size() == std::max<size_t>(1, node.output_metas().size()));
    CHECK(results.size() == node.next_edges().size());
    CHECK(!grad_enabled());
  }
  std::vector<std::string> names;
};

}  // namespace

TEST_CASE("a leaf's gradient is contiguous, however it came to the leaf, and so it stays") {
  struct Case {
    const char* name;
    Shape shape;
    std::function<Variable(const Variable&)> f;
    Values gradient;
  };
  const Tensor c23 = constant({1, 2, 3, 4, 5, 6}, {2, 3});
  const Case cases[] = {
      {"transposed",
       {3, 2},
       [&](const Variable& x) { return sum(transpose(x, 0, 1) * c23); },
       {1, 4, 2, 5, 3, 6}},
      {"permuted",
       {3, 1, 2},
       [&](const Variable& x) {
         return sum(permute(x, {2, 1, 0}) * constant({1, 2, 3, 4, 5, 6}, {2, 1, 3}));
       },
       {1, 4, 2, 5, 3, 6}},
      {"summed over rows",
       {2, 3},
       [&](const Variable& x) {
         return sum(sum(x, {0}) * constant({7, 8, 9}, {3}));
       },
       {7, 8, 9, 7, 8, 9}},
      {"summed over all", {2, 2}, [&](const Variable& x) { return square(sum(x)); }, {8, 8, 8, 8}},
      {"broadcast",
       {3},
       [&](const Variable& x) {
         return sum(expand(x, {2, 3}) * c23);
       },
       {5, 7, 9}},
      {"a part of a concatenation",
       {2, 1},
       [&](const Variable& x) {
         return sum(cat({x, constant({0, 0}, {2, 1})}, 1) * constant({1, 2, 3, 4}, {2, 2}));
       },
       {1, 3}},
      {"one of a stack",
       {2},
       [&](const Variable& x) {
         return sum(stack({constant({0, 0}, {2}), x}, 1) * constant({1, 2, 3, 4}, {2, 2}));
       },
       {2, 4}},
      {"a product's second factor",
       {3, 2},
       [&](const Variable& x) {
         return sum(matmul(c23, x) * constant({1, 2, 3, 4}, {2, 2}));
       },
       {13, 18, 17, 24, 21, 30}}};
  for (const Case& k : cases) {
    CAPTURE(std::string(k.name));
    const Variable x(Tensor::full(k.shape, 1, DType::f64), true);
    for (int pass = 1; pass <= 3; ++pass) {
      k.f(x).backward();
      CHECK(x.grad().shape() == k.shape);
      CHECK(x.grad().data().is_contiguous());
      CHECK(values(x.grad().data()) == times(pass, k.gradient));
      CHECK(x.grad().is_leaf());
      CHECK(!x.grad().requires_grad());
    }
  }
}

TEST_CASE("a leaf's gradient under create_graph is contiguous and its own, too") {
  // transpose gives a strided gradient, add the same one to both of its inputs, and a leaf that is its own
  // root the caller's.
  const Variable a = leaf({1, 2, 3, 4, 5, 6}, {3, 2}), b = leaf({1, 2}, {2}), c = leaf({3, 4}, {2});
  const Tensor weights = constant({1, 2, 3, 4, 5, 6}, {2, 3});
  sum(transpose(square(a), 0, 1) * weights + transpose(a, 0, 1) * weights).backward({}, false, true);
  CHECK(a.grad().data().is_contiguous());
  CHECK(values(a.grad().data()) == Values{3, 20, 14, 45, 33, 78});  // w (2 a + 1)
  CHECK(values(grad({sum(a.grad())}, {a})[0].data()) == Values{2, 8, 4, 10, 6, 12});
  const Tensor seed = constant({1, 10}, {2});
  add(b, c).backward(seed, false, true);
  CHECK(!b.grad().data().shares_storage(c.grad().data()));
  CHECK(!b.grad().data().shares_storage(seed));
  CHECK(!c.grad().data().shares_storage(seed));
  CHECK(values(b.grad().data()) == Values{1, 10});
  CHECK(values(c.grad().data()) == Values{1, 10});
  Variable leaf_a = a, leaf_b = b, leaf_c = c;
  for (Variable* v : {&leaf_a, &leaf_b, &leaf_c}) v->zero_grad();
}

TEST_CASE("a leaf that is the root of backward gets the seed's values in memory of its own") {
  const Variable x = leaf({1, 2}, {2});
  Tensor seed = constant({3, 4}, {2});
  for (int pass = 1; pass <= 2; ++pass) {
    x.backward(seed);
    CHECK(values(x.grad().data()) == times(pass, {3, 4}));
    CHECK(!x.grad().data().shares_storage(seed));
  }
  CHECK(values(seed) == Values{3, 4});
  const Variable y = leaf({1, 2, 3, 4}, {2, 2});
  y.backward(transpose(constant({1, 2, 3, 4}, {2, 2}), 0, 1));
  CHECK(y.grad().data().is_contiguous());
  CHECK(values(y.grad().data()) == Values{1, 3, 2, 4});
}

TEST_CASE("backward adds to a gradient in place when nobody else has it") {
  const Variable x = leaf({1, 2}, {2});
  sum(square(x)).backward();
  const void* const memory = x.grad().data().raw();
  const Variable handle = x.grad();  // the same variable
  const uint64_t version = x.grad().data().version();
  sum(square(x)).backward();
  CHECK(x.grad().data().raw() == memory);
  CHECK(x.grad().is(handle));
  CHECK(x.grad().data().version() > version);
  CHECK(values(x.grad().data()) == Values{4, 8});
}

TEST_CASE("backward does not change a gradient tensor that somebody else holds") {
  Variable x = leaf({1, 2}, {2});
  sum(square(x)).backward();
  const Tensor held = x.grad().data(), view = x.grad().data().slice(0, 0, 1);
  sum(square(x)).backward();
  CHECK(values(held) == Values{2, 4});
  CHECK(values(view) == Values{2});
  CHECK(values(x.grad().data()) == Values{4, 8});
  CHECK(!x.grad().data().shares_storage(held));
  // A view alone is enough.
  Tensor part = x.grad().data().slice(0, 1, 2);
  sum(square(x)).backward();
  CHECK(values(part) == Values{8});
  CHECK(values(x.grad().data()) == Values{6, 12});
  // The caller's own tensor, by set_grad.
  const Tensor given = constant({10, 20}, {2});
  x.set_grad(given);
  sum(square(x)).backward();
  CHECK(values(given) == Values{10, 20});
  CHECK(values(x.grad().data()) == Values{12, 24});
  // And a strided one.
  const Tensor expanded = constant({5}, {1}).expand({2});
  x.set_grad(expanded);
  sum(square(x)).backward();
  CHECK(values(expanded) == Values{5, 5});
  CHECK(values(x.grad().data()) == Values{7, 9});
  // That nobody holds: its two elements are one in memory.
  x.set_grad(constant({5}, {1}).expand({2}));
  sum(square(x)).backward();
  CHECK(values(x.grad().data()) == Values{7, 9});
  CHECK(x.grad().data().is_contiguous());
}

TEST_CASE("two leaves whose gradients were the same keep adding to their own") {
  const Variable a = leaf({1, 2}, {2}), b = leaf({3, 4}, {2});
  for (int pass = 1; pass <= 3; ++pass) {
    sum(add(a, b) * constant({5, 6}, {2})).backward();
    CHECK(values(a.grad().data()) == times(pass, {5, 6}));
    CHECK(values(b.grad().data()) == times(pass, {5, 6}));
    CHECK(!a.grad().data().shares_storage(b.grad().data()));
  }
  // What grad() hands out is not changed by what comes later.
  const Variable m = affine(a, 2, 0);
  const Variables g = grad({sum(m * constant({1, 3}, {2}))}, {m, a});
  sum(affine(a, 2, 0) * constant({1, 3}, {2})).backward();
  CHECK(values(g[0].data()) == Values{1, 3});
  CHECK(values(g[1].data()) == Values{2, 6});
}

TEST_CASE("a gradient that was used in a graph may be added to, but the graph then says so") {
  const Variable x = leaf({1, 2}, {2}), w = leaf({3, 4}, {2});
  sum(square(x)).backward();
  const Variable penalty = sum(w * x.grad());  // saves the gradient
  sum(square(x)).backward();
  CHECK(values(x.grad().data()) == Values{4, 8});
  check_error(ErrorKind::autograd, {"mul", "in place"}, [&] { penalty.backward(); });
}

TEST_CASE("gradients with a graph of their own add up, and stay differentiable until a plain backward") {
  Variable x = scalar(2);
  const Variable y = x * x * x;
  y.backward({}, true, true);
  const Variable first = x.grad();
  y.backward({}, true, true);
  CHECK(x.grad().item() == 24);                            // 2 times 3 x^2
  CHECK(first.item() == 12);                               // a graph's own result is not changed
  CHECK(grad({x.grad()}, {x}, {}, true)[0].item() == 24);  // 2 times 6 x
  const Variable second = x.grad();
  y.backward({}, true);
  CHECK(x.grad().item() == 36);
  CHECK(!x.grad().requires_grad());
  CHECK(second.item() == 24);
  CHECK(grad({second}, {x}, {}, true)[0].item() == 24);
  CHECK(grad({first}, {x})[0].item() == 12);
  x.zero_grad();
}

TEST_CASE("without create_graph a backward pass records nothing, and grad mode is what it was") {
  for (const bool mode : {false, true}) {
    const Variable x = scalar(3), y = square(x) * exp(x);
    const GradMode guard(mode);
    const int64_t nodes = live_node_count();
    y.backward({}, true);
    const Variable g = grad({y}, {x}, {}, true)[0];
    CHECK(!g.requires_grad());
    CHECK(!x.grad().requires_grad());
    CHECK(live_node_count() == nodes);
    CHECK(grad_enabled() == mode);
    // With it, whatever the mode outside.
    CHECK(grad({y}, {x}, {}, true, true)[0].requires_grad());
    CHECK(grad_enabled() == mode);
    y.backward();
    CHECK_THROWS(y.backward());
    CHECK(grad_enabled() == mode);
  }
}

TEST_CASE("what a graph saved is freed by backward, and kept with retain_graph or create_graph") {
  const Variable x(Tensor::full({1000}, 1.0, DType::f64), true);
  const auto bytes = [] { return tensor::allocator_statistics().bytes_in_use; };
  const int64_t before = bytes();
  const Variable y = sum(exp(x) * constant(Values(1000, 2.0), {1000}));
  const int64_t recorded = bytes();
  CHECK(recorded - before >= 2 * 8000);  // exp's result and the constant
  grad({y}, {x}, {}, true);
  CHECK(bytes() == recorded);
  grad({y}, {x}, {}, false, true);  // implies that it is kept
  CHECK(bytes() == recorded);
  grad({y}, {x});
  CHECK(bytes() <= before + 8000);  // the result itself
  check_error(ErrorKind::autograd, {"second time", "retain_graph"}, [&] { y.backward(); });
  // Each of the two functions frees.
  const Variable z = sum(exp(x));
  z.backward();
  check_error(ErrorKind::autograd, {"exp", "second time"}, [&] { grad({z}, {x}); });
}

TEST_CASE("nodes run when all that uses them has run, later recorded ones first, leaves at once") {
  const Variable a = scalar(1), b = scalar(2);
  const Variable early = exp(a), late = square(b), y = early * late;
  Listener listener;
  y.backward();
  CHECK(listener.names ==
        std::vector<std::string>{"mul", "square", "accumulate_grad", "exp", "accumulate_grad"});
  listener.names.clear();
  // One that is used by an early and a late op waits for both.
  const Variable x = scalar(3), m = exp(x), l = log(m), q = square(m), s = add(l, q);
  s.backward();
  CHECK(listener.names == std::vector<std::string>{"add", "square", "log", "exp", "accumulate_grad"});
  listener.names.clear();
  // A branch without a gradient is not run, nor do leaves get anything from grad().
  const Variable t = square(x) + 1;
  grad({t}, {x});
  CHECK(listener.names == std::vector<std::string>{"affine", "square"});
}

TEST_CASE("roots may be given twice, lie below one another, or be leaves") {
  const Variable x = scalar(3), m = square(x), y = m * 5;
  backward({y, y}, {}, true);
  CHECK(x.grad().item() == 2 * 5 * 6);
  Variable handle = x;
  handle.zero_grad();
  backward({m, y, x}, {}, true);
  CHECK(x.grad().item() == 6 + 30 + 1);
  handle.zero_grad();
  backward({y, m}, {Variable(Tensor::scalar(2, DType::f64)), Variable(Tensor::scalar(7, DType::f64))});
  CHECK(x.grad().item() == 2 * 30 + 7 * 6);
  const Variables own = grad({x}, {x});
  CHECK(own[0].item() == 1);
  const Variable z = square(x);
  CHECK(grad({z}, {z, z, x})[0].item() == 1);
  const Variables same = grad({square(x)}, {x, x});
  CHECK(same[0].item() == 6);
  CHECK(same[1].item() == 6);
}

TEST_CASE("of several results each gets the gradient that is its own, zeros where none came") {
  const Variable x = leaf({1, 2}, {2});
  std::string seen;
  const auto gradient_with = [&](double first, double second) {
    const Variables y = two_results(x, &seen);
    CHECK(y[0].gradient_edge().input == 0);
    CHECK(y[1].gradient_edge().input == 1);
    Variables roots;
    if (first != 0) roots.push_back(sum(y[0] * first));
    if (second != 0) roots.push_back(sum(y[1] * second));
    return values(grad(roots, {x})[0].data());
  };
  CHECK(gradient_with(1, 0) == Values{2, 2});
  CHECK(gradient_with(0, 1) == Values{3, 3});
  CHECK(gradient_with(10, 100) == Values{320, 320});
  CHECK(seen == "x--xxx");
  // The second result's own gradient, while the first gets none.
  const Variables y = two_results(x, &seen);
  CHECK(values(grad({sum(square(y[1]))}, {y[1]})[0].data()) == Values{6, 12});
  check_error(ErrorKind::autograd, {"do not depend on input 0"}, [&] { grad({sum(square(y[1]))}, {y[0]}); });
}

TEST_CASE("a leaf that is gone takes no gradient, and the others get theirs") {
  const Variable x = scalar(3);
  Variable y;
  {
    const Variable gone = scalar(4);
    y = x + affine(gone, 2, 0);
  }
  y.backward();
  CHECK(x.grad().item() == 1);
}

TEST_CASE("all graphs of a leaf end in one accumulator, which goes with them") {
  const int64_t nodes = live_node_count();
  const Variable x = scalar(3);
  CHECK(live_node_count() == nodes);
  {
    const Variable a = square(x), b = exp(x);
    CHECK(live_node_count() == nodes + 3);
    CHECK(a.grad_fn()->next_edges()[0].node == b.grad_fn()->next_edges()[0].node);
    CHECK(x.gradient_edge().node == a.grad_fn()->next_edges()[0].node);
  }
  CHECK(live_node_count() == nodes);
  CHECK(scalar(1).detach().gradient_edge().node == nullptr);
  CHECK(Variable().gradient_edge().node == nullptr);
}

TEST_CASE("variables: copies are one, detached ones share memory only, undefined ones are refused") {
  Variable x = leaf({1, 2}, {2});
  const Variable copy = x, other = leaf({1, 2}, {2});
  CHECK(copy.is(x));
  CHECK(!other.is(x));
  sum(copy).backward();
  CHECK(x.grad().defined());
  const Variable d = square(x).detach();
  CHECK(d.is_leaf());
  CHECK(!d.requires_grad());
  CHECK(x.detach().data().shares_storage(x.data()));
  CHECK(!x.detach().grad().defined());
  CHECK(!Variable().detach().defined());
  CHECK(Variable().is_leaf());
  CHECK(!Variable().requires_grad());
  CHECK(!Variable(Tensor()).defined());
  CHECK(!Variable(Tensor(), true).defined());
  Variable none;
  check_error(ErrorKind::argument, {"grad", "undefined"}, [&] { none.grad(); });
  check_error(ErrorKind::argument, {"grad", "undefined"}, [&] { none.set_grad({}); });
  check_error(ErrorKind::argument, {"undefined"}, [&] { none.mutable_data(); });
  check_error(ErrorKind::argument, {"requires_grad", "undefined"}, [&] { none.set_requires_grad(true); });
  // Switched off and on.
  x.set_requires_grad(false);
  CHECK(!square(x).requires_grad());
  x.set_requires_grad(true);
  CHECK(square(x).requires_grad());
  Variable integers(Tensor::arange(3));
  integers.set_requires_grad(false);
  CHECK(!integers.requires_grad());
}

TEST_CASE("guards of grad mode put back what was there, exceptions or not") {
  CHECK(grad_enabled());
  {
    const NoGrad off;
    CHECK(!grad_enabled());
    {
      const GradMode on(true);
      CHECK(grad_enabled());
    }
    CHECK(!grad_enabled());
    { const GradMode off_again(false); }
    CHECK(!grad_enabled());
  }
  CHECK(grad_enabled());
  try {
    const NoGrad off;
    throw 1;
  } catch (int) {
  }
  CHECK(grad_enabled());
}

TEST_CASE("a saved tensor's versions are in the error") {
  Variable w = leaf({3, 4}, {2});
  w.mutable_data().fill_(1);
  const Variable y = sum(square(w));
  const uint64_t saved = w.data().version();
  w.mutable_data().fill_(2);
  w.mutable_data().fill_(3);
  check_error(ErrorKind::autograd,
              {"square", "version " + std::to_string(saved) + ", now " + std::to_string(w.data().version())},
              [&] { y.backward(); });
  CHECK(w.data().version() == saved + 2);
}
