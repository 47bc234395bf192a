#include <thread>

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

TEST_CASE("to_dot: two modules, an op of several results, and what has no name or no value") {
  class Two final : public Node {
   public:
    Two() : Node("two") {}
    Variables apply(const Variables&) override { return {}; }
  };
  const Variable w = leaf({1, 2}, {2}), b = leaf({3, 4}, {2});
  Variables y;
  {
    const Scope scope("b");
    const Variable h = mul(w, b);
    const Scope inner("c");
    y = record_all<Two>({Tensor::zeros({3}, DType::f64), Tensor::zeros({2}, DType::f64)}, {h});
  }
  const std::string dot = to_dot(exp(y[1]), {{"none", Variable()}, {"line\nbreak", w}, {"b", b}});
  CHECK(count(dot, "subgraph cluster_") == 2);
  CHECK(dot.find("subgraph cluster_0 {\n  labelloc=b; labeljust=l; fontname=\"Helvetica\"; fontsize=10; "
                 "label=\"b\";") != std::string::npos);
  CHECK(dot.find("subgraph cluster_1 {") < dot.find("label=\"b.c\""));
  CHECK(count(dot, "label=\"two\\n(3) f64, (2) f64\"") == 1);
  CHECK(count(dot, "label=\"line\\nbreak\\n(2) f64\"") == 1);
  CHECK(count(dot, "label=\"b\\n(2) f64\"") == 1);
  CHECK(count(dot, "shape=box") == 2);
  // Ops are in their modules' clusters, leaves and the op outside of all in none.
  const size_t first = dot.find("cluster_0"), second = dot.find("cluster_1"), end = dot.find("->");
  CHECK((dot.find("label=\"mul") > first && dot.find("label=\"mul") < second));
  CHECK((dot.find("label=\"two") > second && dot.find("label=\"two") < end));
  CHECK(dot.find("label=\"exp") < first);
  CHECK(dot.find("shape=box") < first);
  CHECK(count(dot, " -> ") == 1 + 1 + 1 + 1 + 1);
  check_error(ErrorKind::autograd, {"to_dot", "undefined"}, [] { to_dot(Variable()); });
}

TEST_CASE("to_dot takes a long graph without recursion") {
  Variable y = leaf({1}, {1});
  for (int i = 0; i < 100000; ++i) y = affine(y, 1, 0);
  CHECK(count(to_dot(y), "affine") == 100000);
}

TEST_CASE(
    "anomaly mode looks at what is recorded: every result, of every floating type, and infinities of both "
    "signs") {
  const DetectAnomaly detect;
  {
    const NoGrad guard;
    log(leaf({-1}, {1}));
  }
  log(Variable(Tensor::from<double>({-1}, {1})));
  sum(leaf({1}, {1})).backward();
  check_error(ErrorKind::autograd,
              {"log: -inf at (1) of its result (3) f64", "inputs (3) f64 that were finite"}, [] {
                log(leaf({1, 0, -1}, {3}));
              });
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    const Variable x(Tensor::full({2}, dtype == DType::f16 ? 60000 : 3e38, dtype), true);
    check_error(ErrorKind::autograd, {"affine: inf at (0) of its result"}, [&] { x * 3; });
  }
  // Of several results the second.
  class Two final : public Node {
   public:
    Two() : Node("two") {}
    Variables apply(const Variables&) override { return {Tensor::zeros({2}, DType::f64)}; }
  };
  const Variable x = leaf({1, 2}, {2});
  const double inf = std::numeric_limits<double>::infinity();
  check_error(ErrorKind::autograd, {"two: -inf at (1) of its result 1 (2) f64, from inputs (2) f64"}, [&] {
    record_all<Two>({Tensor::zeros({1}, DType::f64), Tensor::from<double>({0, -inf}, {2})}, {x});
  });
  // A gradient that came in bad already.
  check_error(ErrorKind::autograd,
              {"affine: its backward pass gave nan at (1) of the gradient of input 0",
               "gradient 0 already had nan at (1)"},
              [&] {
                (x * 2).backward(Tensor::from<double>({1, NAN}, {2}));
              });
  CHECK(!x.grad().defined());
}

TEST_CASE("observers hear of ops and named scopes, the newest first, until they go") {
  struct Log final : Observer {
    explicit Log(std::string& to, std::string my_name) : text(to), name(std::move(my_name)) {}
    void op(const Node* node, const std::vector<Tensor>& outputs, const Variables& inputs) override {
      text += name + (node ? std::string(node->name()) : "plain") + std::to_string(inputs.size()) + "-" +
              std::to_string(outputs.size()) + " ";
    }
    void scope_entered() override { text += name + "+" + current_scope() + " "; }
    void scope_left() override { text += name + "-" + current_scope() + " "; }
    std::string& text;
    std::string name;
  };
  std::string text;
  const Variable x = leaf({1, 2}, {2});
  const Log outer(text, "a:");
  {
    const Log inner(text, "b:");
    const Scope scope("net");
    x* x;
  }
  CHECK(text == "b:+net a:+net b:mul2-1 a:mul2-1 b:-net a:-net ");
  text.clear();
  Variable y;
  {
    const Scope scope("net");
    const Scope part("part");
    y = sum(x);
  }
  x.detach() + 1;
  CHECK(text == "a:+net a:+net.part a:sum1-1 a:-net.part a:-net a:plain1-1 ");
  text.clear();
  y.backward();  // goes back to net.part, but does not enter it
  CHECK(text.find('+') == std::string::npos);
  CHECK(text.find("-net") == std::string::npos);
  std::thread([&] { exp(leaf({1}, {1})); }).join();  // another thread's ops are its own
  CHECK(text.find("exp") == std::string::npos);
}

TEST_CASE("scopes: one path is one object, a thread's own, and what was entered before comes back") {
  const internal::ScopePath* outside = internal::current_path();
  const internal::ScopePath *a = nullptr, *b = nullptr;
  {
    const Scope net("net");
    {
      const Scope part("part");
      a = internal::current_path();
    }
    CHECK(current_scope() == "net");
    const Scope part("part");
    b = internal::current_path();
    {
      const Scope back(outside);
      CHECK(current_scope().empty());
      const Scope other("part");
      CHECK(current_scope() == "part");
      CHECK(internal::current_path() != a);
    }
    CHECK(internal::current_path() == b);
    std::string elsewhere = "not run";
    std::thread([&] { elsewhere = current_scope(); }).join();
    CHECK(elsewhere.empty());
  }
  CHECK(a == b);
  CHECK(a->path == "net.part");
  CHECK(a->name == "part");
  CHECK(a->parent->path == "net");
  CHECK(internal::current_path() == outside);
  CHECK_THROWS([] {
    const Scope scope("net");
    throw 1;
  }());
  CHECK(internal::current_path() == outside);
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
