#include <nlohmann/json.hpp>

#include "autograd/anomaly.h"
#include "autograd/dot.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "autograd/profiler.h"
#include "autograd/scope.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::check_error;

namespace {

Variable leaf(std::vector<double> v, const Shape& shape) { return Variable(Tensor::from(v, shape), true); }

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const tensor::Error& e) {
    return e.what();
  }
  return "";
}

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

}  // namespace

TEST_CASE("scopes nest, are kept by nodes, and end each error's sentence once") {
  const Variable x = leaf({1, 2, 3}, {3});
  CHECK(current_scope().empty());
  CHECK(exp(x).grad_fn()->scope().empty());
  const std::string plain = message_of([&] { matmul(x, leaf({1, 2}, {2})); });
  {
    const Scope decoder("decoder");
    {
      const Scope lstm("lstm");
      CHECK(current_scope() == "decoder.lstm");
      CHECK(exp(x).grad_fn()->scope() == "decoder.lstm");
      CHECK(message_of([&] { matmul(x, leaf({1, 2}, {2})); }) == plain + " (in decoder.lstm)");
      // An error whose text goes into another one.
      CHECK(count(message_of([&] { tensor::fail(ErrorKind::data, "a (in decoder.lstm)"); }), "(in") == 1);
    }
    CHECK(current_scope() == "decoder");
  }
  CHECK(current_scope().empty());
}

TEST_CASE("an error in a backward pass says in which module the op was called") {
  Variable w = leaf({3, 4}, {2});
  Variable y;
  {
    const Scope scope("decoder.gate");
    y = sum(w * w);
  }
  w.mutable_data().fill_(9);
  check_error(ErrorKind::autograd, {"mul", "(2) f64", "in place", "clone", "(in decoder.gate)"},
              [&] { y.backward(); });
  CHECK(current_scope().empty());
}

TEST_CASE("anomaly mode names the op, the module, the shapes and the first bad element") {
  const Variable x = leaf({1, 2, 3, 4, -5, 6}, {2, 3});
  CHECK(std::isnan(log(x).data().select(0, 1).select(0, 1).item()));  // off: no error
  const DetectAnomaly detect;
  {
    const Scope scope("decoder.score");
    check_error(ErrorKind::autograd,
                {"log: nan at (1, 1) of its result (2, 3) f64", "inputs (2, 3) f64", "were finite",
                 "(in decoder.score)"},
                [&] { log(x); });
  }
  // Backward: sqrt is finite at 0, its slope is not.
  const Variable z = leaf({4, 0, 1}, {3});
  Variable y;
  {
    const Scope scope("encoder.norm");
    y = sum(sqrt(z));
  }
  check_error(ErrorKind::autograd,
              {"sqrt: its backward pass gave inf at (1) of the gradient of input 0", "(3) f64", "were finite",
               "(in encoder.norm)"},
              [&] { y.backward(); });
  // Not the op's fault: it says which input was bad.
  const Variable bad(Tensor::from<double>({1, std::numeric_limits<double>::infinity()}, {2}), true);
  check_error(ErrorKind::autograd, {"mul", "inf at (1)", "input 1 already had inf at (1)"}, [&] {
    mul(leaf({1, 1}, {2}), bad);
  });
  // A view of a good part is good; integers and empty tensors are not looked at.
  sum(slice(exp(leaf({1, 2}, {2})), 0, 0, 0)).backward();
}

TEST_CASE("anomaly mode finds the first bad element of a transposed result, in reading order") {
  Variable x = leaf({1, -1, -1, 1, 1, 1}, {3, 2});  // transposed: (0, 1), (1, 0) are bad
  const DetectAnomaly detect;
  check_error(ErrorKind::autograd, {"log: nan at (0, 1)"}, [&] { log(transpose(x, 0, 1)); });
}

TEST_CASE("to_dot draws each op once, leaves with their names, modules as clusters") {
  const Variable w = leaf({1, 2}, {2}), b = leaf({3}, {1});
  Variable y;
  {
    const Scope scope("net.\"odd\\");
    const Variable h = mul(w, w);
    y = sum(add(h, b) * h);
  }
  const std::string dot = to_dot(y, {{"weight", w}, {"unused", leaf({1}, {1})}});
  CHECK(dot.starts_with("digraph autograd {"));
  CHECK(dot.ends_with("}\n"));
  CHECK(count(dot, "label=\"mul\\n") == 2);
  CHECK(count(dot, "label=\"add\\n(2) f64\"") == 1);
  CHECK(count(dot, "label=\"weight\\n(2) f64\"") == 1);
  CHECK(count(dot, "label=\"leaf\\n(1) f64\"") == 1);
  CHECK(count(dot, "unused") == 0);
  CHECK(count(dot, "label=\"net.\\\"odd\\\\\"") == 1);
  CHECK(count(dot, "result () f64") == 1);
  // mul(w, w) has two arrows from w; h is used twice.
  CHECK(count(dot, " -> ") == 2 + 2 + 2 + 1 + 1);
  CHECK(count(dot, "{") == count(dot, "}"));
  CHECK(dot == to_dot(y, {{"weight", w}}));
  check_error(ErrorKind::autograd, {"to_dot", "(2) f64", "no graph"}, [&] { to_dot(w.detach()); });
}

TEST_CASE("to_dot takes a long graph without recursion") {
  Variable y = leaf({1}, {1});
  for (int i = 0; i < 100000; ++i) y = affine(y, 1, 0);
  CHECK(count(to_dot(y), "affine") == 100000);
}

TEST_CASE("profile counts calls and bytes, and its intervals lie inside one another") {
  const Variable w(tests::random({64, 64}, DType::f32, 1), true), x(tests::random({32, 64}, DType::f32, 2));
  const Profile p = profile([&] {
    const Scope scope("net");
    Variable h = x;
    for (int i = 0; i < 3; ++i) h = tanh(matmul(h, w));
    sum(h).backward();
  });
  const auto op = [&](const std::string& name) {
    for (const Profile::Op& o : p.ops)
      if (o.name == name) return o;
    return Profile::Op{};
  };
  CHECK(op("matmul").calls == 3);
  CHECK(op("matmul").backward_calls == 3);
  CHECK(op("matmul").bytes == 3 * 32 * 64 * 4);
  CHECK(op("tanh").calls == 3);
  CHECK(op("sum").calls == 1);
  CHECK(op("matmul").forward_ms > 0);
  CHECK(op("matmul").backward_ms > 0);
  CHECK(op("accumulate_grad").backward_calls == 1);
  double in_ops = 0;
  for (const Profile::Op& o : p.ops) in_ops += o.forward_ms + o.backward_ms;
  CHECK(in_ops > 0);
  CHECK(in_ops <= p.total_ms);
  // Each kernel lies inside an op or outside of all, never across an end.
  for (const Profile::Event& kernel : p.events) {
    CHECK(kernel.start_ms >= 0);
    CHECK(kernel.start_ms + kernel.duration_ms <= p.total_ms);
    if (kernel.kind != "kernel") continue;
    for (const Profile::Event& outer : p.events) {
      if (outer.kind != "forward" && outer.kind != "backward") continue;
      const bool starts =
          kernel.start_ms >= outer.start_ms && kernel.start_ms < outer.start_ms + outer.duration_ms;
      const bool ends = kernel.start_ms + kernel.duration_ms <= outer.start_ms + outer.duration_ms;
      CHECK((!starts || ends));
    }
  }
  CHECK(p.table().find("matmul") != std::string::npos);
  CHECK(p.table().find("(outside of ops)") != std::string::npos);

  const nlohmann::json trace = nlohmann::json::parse(p.chrome_trace());
  CHECK(trace.at("traceEvents").size() == p.events.size());
  int modules = 0, backward = 0;
  for (const nlohmann::json& e : trace.at("traceEvents")) {
    CHECK(e.at("ph") == "X");
    CHECK(e.at("ts").get<double>() >= 0);
    CHECK(e.at("dur").get<double>() >= 0);
    CHECK(e.contains("pid"));
    CHECK(e.contains("tid"));
    modules += e.at("cat") == "module" && e.at("name") == "net";
    backward += e.at("name") == "matmul backward" && e.at("args").at("module") == "net";
  }
  CHECK(modules == 1);
  CHECK(backward == 3);
}

TEST_CASE("an exception leaves no observer, scope or profiler behind") {
  const Variable x = leaf({-1}, {1});
  CHECK_THROWS(profile([&] {
    const Scope scope("net");
    const DetectAnomaly detect;
    log(x);
  }));
  CHECK(internal::observers == nullptr);
  CHECK(tensor::internal::kernel_listener == nullptr);
  CHECK(current_scope().empty());
  log(x);
}
