#include "autograd/profiler.h"

#include <optional>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "autograd/scope.h"
#include "tensor/allocator.h"
#include "tests/json.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using Event = Profile::Event;

namespace {

std::vector<Event> events(const Profile& p, const std::string& kind, const std::string& name = "") {
  std::vector<Event> some;
  for (const Event& e : p.events)
    if (e.kind == kind && (name.empty() || e.name == name)) some.push_back(e);
  return some;
}

double end_of(const Event& e) { return e.start_ms + e.duration_ms; }
constexpr double kRounding = 1e-9;  // of an end that was subtracted and added again; a clock tick is 1e-6

bool inside(const Event& e, const Event& outer) {
  return e.start_ms >= outer.start_ms && end_of(e) <= end_of(outer) + kRounding;
}

// The kernels that ran during an op.
std::vector<Event> kernels_in(const Profile& p, const Event& op) {
  std::vector<Event> some;
  for (const Event& kernel : events(p, "kernel"))
    if (inside(kernel, op)) some.push_back(kernel);
  return some;
}

// One of each: ops with kernels and without (transpose), in a module and outside, forward and backward.
Profile profile_of_a_step() {
  const Variable w(tests::random({64, 64}, tensor::DType::f32, 1), true),
      x(tests::random({32, 64}, DType::f32, 2));
  return profile([&] {
    Variable h = x;
    {
      const Scope scope("net");
      for (int i = 0; i < 3; ++i) h = tanh(matmul(h, w));
    }
    sum(transpose(h, 0, 1)).backward();
  });
}

}  // namespace

TEST_CASE("profile counts calls, with their shapes, bytes and modules") {
  const Profile p = profile_of_a_step();
  const auto op = [&](const std::string& name) {
    for (const Profile::Op& o : p.ops)
      if (o.name == name) return o;
    return Profile::Op{};
  };
  CHECK(p.ops.size() == 5);
  CHECK(op("matmul").calls == 3);
  CHECK(op("matmul").backward_calls == 3);
  CHECK(op("matmul").bytes == 3 * 32 * 64 * 4);
  CHECK(op("tanh").calls == 3);
  CHECK(op("tanh").backward_calls == 3);
  CHECK(op("transpose").calls + op("permute").calls == 1);
  CHECK(op("sum").calls == 1);
  CHECK(op("sum").backward_calls == 1);
  CHECK(op("sum").bytes == 4);
  CHECK(op("accumulate_grad").calls == 0);
  CHECK(op("accumulate_grad").backward_calls == 1);
  CHECK(op("accumulate_grad").bytes == 0);
  for (const char* kind : {"forward", "backward"}) {
    const auto products = events(p, kind, "matmul");
    REQUIRE(products.size() == 3);
    for (const Event& e : products) {
      CHECK(e.scope == "net");
      CHECK(e.shapes == "(32, 64), (64, 64)");
      CHECK(e.bytes == 32 * 64 * 4);
    }
    CHECK(events(p, kind, "sum")[0].scope.empty());
  }
  CHECK(p.peak_bytes == tensor::allocator_statistics().peak_bytes);
}

TEST_CASE("profile adds an op's intervals up, the longest op first") {
  const Profile p = profile_of_a_step();
  double before = INFINITY, in_ops = 0;
  for (const Profile::Op& op : p.ops) {
    double forward = 0, backward = 0;
    for (const Event& e : events(p, "forward", op.name)) forward += e.duration_ms;
    for (const Event& e : events(p, "backward", op.name)) backward += e.duration_ms;
    CHECK(op.forward_ms == doctest::Approx(forward).epsilon(1e-12));
    CHECK(op.backward_ms == doctest::Approx(backward).epsilon(1e-12));
    CHECK(op.forward_ms + op.backward_ms <= before);
    before = op.forward_ms + op.backward_ms;
    in_ops += before;
  }
  CHECK(in_ops > 0);
  CHECK(in_ops <= p.total_ms);
}

TEST_CASE("profile's intervals lie inside one another, in the order of their ends") {
  const Profile p = profile_of_a_step();
  double last = 0;
  for (const Event& e : p.events) {
    CAPTURE(e.name);
    CAPTURE(e.kind);
    // Not -1, which stands for no kernel so far: the view has none.
    CHECK(e.start_ms >= 0);
    CHECK(end_of(e) >= last - kRounding);
    last = end_of(e);
  }
  CHECK(last <= p.total_ms);
  const auto modules = events(p, "module");
  REQUIRE(modules.size() == 1);
  CHECK(modules[0].name == "net");
  CHECK(modules[0].scope == "net");
  for (const char* kind : {"forward", "backward"})
    for (const Event& e : events(p, kind)) {
      CAPTURE(e.name);
      CHECK(inside(e, modules[0]) == (std::string(kind) == "forward" && e.scope == "net"));
      const auto kernels = kernels_in(p, e);
      const bool view = e.name == "transpose" || e.name == "permute";
      if (std::string(kind) == "forward") {
        // It begins with its first kernel, and a view begins and ends at once.
        CHECK(kernels.size() == (view ? 0 : 1));
        if (!view) CHECK(e.start_ms == kernels[0].start_ms);
        if (view) CHECK(e.duration_ms == 0);
      } else if (e.name == "matmul" || e.name == "tanh") {
        CHECK(!kernels.empty());
      }
      for (const Event& kernel : kernels) CHECK(kernel.scope == e.scope);
      // None across an end.
      for (const Event& kernel : events(p, "kernel"))
        CHECK((inside(kernel, e) || end_of(kernel) <= e.start_ms + kRounding ||
               kernel.start_ms >= end_of(e) - kRounding));
      // Nor do ops overlap.
      for (const char* other_kind : {"forward", "backward"})
        for (const Event& other : events(p, other_kind))
          CHECK(((other.start_ms == e.start_ms && other.name == e.name) ||
                 end_of(other) <= e.start_ms + kRounding || other.start_ms >= end_of(e) - kRounding));
    }
}

TEST_CASE("profile: what no graph records is no op, and its kernels are no part of the next one") {
  const Variable x(tests::random({50}, DType::f64, 1), true);
  const auto view_after = [&](const std::function<void()>& before) {
    const Profile p = profile([&] {
      before();
      reshape(x, {5, 10});
    });
    CHECK(p.ops.size() == 1);
    const auto views = events(p, "forward", "reshape");
    REQUIRE(views.size() == 1);
    CHECK(events(p, "kernel").size() == 1);
    CHECK(kernels_in(p, views[0]).empty());
    CHECK(views[0].duration_ms == 0);
    return p;
  };
  view_after([&] { exp(x.detach()); });
  view_after([&] {
    const NoGrad guard;
    exp(x);
  });
  Tensor y = x.data().clone();
  view_after([&] {
    tensor::kernels::affine(y, y, 2, 1);  // not by an op at all
    const Scope scope("net");             // entering is what parts it from the next
  });
  std::optional<Scope> scope;
  scope.emplace("entered before");
  const Profile p = view_after([&] {
    tensor::kernels::affine(y, y, 2, 1);
    scope.reset();
  });
  CHECK(events(p, "module").empty());
}

TEST_CASE("profile: ops inside a backward pass are parts of its intervals") {
  const Variable x(Tensor::scalar(2, DType::f64), true);
  const Profile p = profile([&] {
    const Variable y = x * x * x;
    y.backward({}, false, true);
    exp(x);
  });
  CHECK(events(p, "forward", "mul").size() == 2);
  CHECK(events(p, "backward", "mul").size() == 2);
  const auto after = events(p, "forward", "exp");
  REQUIRE(after.size() == 1);  // forward again
  CHECK(kernels_in(p, after[0]).size() == 1);
  Variable handle = x;
  handle.zero_grad();
}

TEST_CASE("profile: modules in modules, by their paths") {
  const Variable x(tests::random({50}, DType::f64, 1), true);
  const Profile p = profile([&] {
    const Scope net("net");
    for (int i = 0; i < 2; ++i) {
      const Scope part("part");
      exp(x);
    }
  });
  const auto inner = events(p, "module", "net.part"), outer = events(p, "module", "net");
  REQUIRE(inner.size() == 2);
  REQUIRE(outer.size() == 1);
  CHECK(inside(inner[0], outer[0]));
  CHECK(inside(inner[1], outer[0]));
  CHECK(end_of(inner[0]) <= inner[1].start_ms + kRounding);
  const auto ops = events(p, "forward", "exp");
  REQUIRE(ops.size() == 2);
  for (size_t i = 0; i < 2; ++i) CHECK(inside(ops[i], inner[i]));
}

TEST_CASE("a profile's table and trace, of numbers by hand") {
  Profile p;
  p.ops = {{"matmul", 3, 2, 1.5, 2.5, 3 << 19}, {"tanh", 1, 0, 0.25, 0, 0}};
  p.events = {{"affine", "kernel", "net", "", 0.5, 0.25, 0},
              {"matmul", "forward", "net", "(2, 3), (3, 4)", 0.5, 0.5, 32},
              {"net", "module", "net", "", 0.25, 1, 0},
              {"matmul", "backward", "", "(1)", 1.5, 0.125, 0}};
  p.total_ms = 8;
  p.peak_bytes = 5 << 20;
  CHECK(p.table() ==
        "op                            calls  forward ms  backward backward ms   share    MiB out\n"
        "matmul                            3       1.500         2       2.500   50.0%       1.50\n"
        "tanh                              1       0.250         0       0.000    3.1%       0.00\n"
        "(outside of ops)                                                3.750   46.9%\n"
        "total 8.000 ms, tensors at most 5.0 MiB\n");
  CHECK(Profile{}.table().find("nan") == std::string::npos);

  const std::string text = p.chrome_trace();
  CHECK(text.ends_with("}\n"));
  const tensor::io::Json expected = tests::read_json(R"json({"traceEvents": [
    {"name": "affine", "cat": "kernel", "ph": "X", "ts": 500.0, "dur": 250.0, "pid": 1, "tid": 1,
     "args": {"module": "net"}},
    {"name": "matmul", "cat": "forward", "ph": "X", "ts": 500.0, "dur": 500.0, "pid": 1, "tid": 1,
     "args": {"module": "net", "inputs": "(2, 3), (3, 4)", "bytes": 32}},
    {"name": "net", "cat": "module", "ph": "X", "ts": 250.0, "dur": 1000.0, "pid": 1, "tid": 1,
     "args": {"module": "net"}},
    {"name": "matmul backward", "cat": "backward", "ph": "X", "ts": 1500.0, "dur": 125.0, "pid": 1, "tid": 1,
     "args": {"module": "", "inputs": "(1)"}}], "displayTimeUnit": "ms"})json");
  CHECK(tests::read_json(text) == expected);
  const Profile real = profile_of_a_step();
  CHECK(tests::read_json(real.chrome_trace()).at("traceEvents").size() == real.events.size());
}
