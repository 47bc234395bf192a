// Sizes of 0: every op gives what PyTorch gives, forward and backward, and refuses what it refuses.
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "tests/data_dir.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::check_error;

namespace {

using In = const Variables&;
using Op = std::function<Variables(In)>;

Op one(Variable (*f)(const Variable&)) {
  return [f](In in) { return Variables{f(in[0])}; };
}
Op two(Variable (*f)(const Variable&, const Variable&)) {
  return [f](In in) { return Variables{f(in[0], in[1])}; };
}
Op dim(Variable (*f)(const Variable&, int), int d) {
  return [=](In in) { return Variables{f(in[0], d)}; };
}
Op loss(Reduction reduction, double smoothing) {
  return [=](In in) { return Variables{cross_entropy(in[0], in[1].data(), -100, smoothing, reduction)}; };
}
Op conv(const tensor::Conv2dOptions& o) {
  return [=](In in) { return Variables{conv2d(in[0], in[1], in.size() > 2 ? in[2] : Variable(), o)}; };
}
Op pool(const tensor::Pool2dOptions& o) {
  return [=](In in) { return Variables{max_pool2d(in[0], o)}; };
}
Op norm(bool train) {
  return [=](In in) {
    const Shape channels{in[0].size(1)};
    return Variables{batch_norm(in[0], in[1], in[2], Tensor::zeros(channels, DType::f64),
                                Tensor::full(channels, 1, DType::f64), train, 1e-3)};
  };
}
template <class F>
Op cell(F f) {
  return [=](In in) {
    const LstmState s = f(in[0], LstmState{in[1], in[2]}, in[3], in[4], in[5], in[6]);
    return Variables{s.h, s.c};
  };
}
template <class F>
Op attention(F f) {
  return [=](In in) {
    const Attention a = f(in[0], in[1], in[2], in[3].data(), in[4], in[5]);
    return Variables{a.context, a.alpha};
  };
}
Variables sequence(In in) {
  const LstmSequence s = lstm_sequence(in[0], {in[1], in[2]}, in[3], in[4], in[5], in[6]);
  return {s.outputs, s.last.h, s.last.c};
}

// The ops of make_empty.py whose names have no numbers, and those with numbers that are few.
const std::map<std::string, std::vector<Op>>& ops() {
  using V = const Variable&;
  static const std::map<std::string, std::vector<Op>> all = {
      {"relu", {one(relu)}},
      {"relu6", {one(relu6)}},
      {"tanh", {one(tanh)}},
      {"sigmoid", {one(sigmoid)}},
      {"exp", {one(exp)}},
      {"log", {one(log)}},
      {"sqrt", {one(sqrt)}},
      {"square", {one(square)}},
      {"abs", {one(abs)}},
      {"neg", {one(neg)}},
      {"clamp", {one([](V x) { return clamp(x, 0, 1); })}},
      {"affine", {one([](V x) { return affine(x, 2, 1); })}},
      {"pow", {one([](V x) { return pow(x, 2.5); })}},
      {"dropout", {one([](V x) { return dropout(x, 0.5, true); })}},
      {"add", {two(add)}},
      {"sub", {two(sub)}},
      {"mul", {two(mul)}},
      {"div", {two(div)}},
      {"maximum", {two(maximum)}},
      {"minimum", {two(minimum)}},
      {"where", {[](In in) { return Variables{where(in[0].data().to(DType::boolean), in[1], in[2])}; }}},
      {"sum", {one([](V x) { return sum(x); })}},
      {"mean", {one([](V x) { return mean(x); })}},
      {"flatten", {one([](V x) { return flatten(x); })}},
      {"flatten_1", {one([](V x) { return flatten(x, 1); })}},
      {"permute_2,0,1", {one([](V x) {
         return permute(x, {2, 0, 1});
       })}},
      {"transpose_0,1", {one([](V x) { return transpose(x, 0, 1); })}},
      {"unsqueeze_0", {dim(unsqueeze, 0)}},
      {"unsqueeze_-1", {dim(unsqueeze, -1)}},
      {"squeeze_0", {dim(squeeze, 0)}},
      {"slice_0:0", {one([](V x) { return slice(x, 0, 0, 0); })}},
      {"slice_1,0:2", {one([](V x) { return slice(x, 1, 0, 2); })}},
      {"select_0", {one([](V x) { return select(x, 0, 0); })}},
      {"select_1", {one([](V x) { return select(x, 1, 0); })}},
      {"cat_0", {[](In in) { return Variables{cat(in, 0)}; }}},
      {"cat_1", {[](In in) { return Variables{cat(in, 1)}; }}},
      {"stack_0", {[](In in) { return Variables{stack(in, 0)}; }}},
      {"stack_1", {[](In in) { return Variables{stack(in, 1)}; }}},
      {"contiguous", {one(contiguous)}},
      {"to", {one([](V x) { return to(to(x, DType::f32), DType::f64); })}},
      {"matmul", {two(matmul)}},
      {"linear", {[](In in) { return Variables{linear(in[0], in[1], in.size() > 2 ? in[2] : Variable())}; }}},
      {"cross_entropy_mean", {loss(Reduction::mean, 0)}},
      {"cross_entropy_mean_smoothed", {loss(Reduction::mean, 0.1)}},
      {"cross_entropy_sum", {loss(Reduction::sum, 0)}},
      {"cross_entropy_sum_smoothed", {loss(Reduction::sum, 0.1)}},
      {"cross_entropy_none", {loss(Reduction::none, 0)}},
      {"cross_entropy_none_smoothed", {loss(Reduction::none, 0.1)}},
      {"conv2d", {conv({})}},
      {"conv2d_padded", {conv({1, 1, 1, 1, 1, 1})}},
      {"conv2d_groups", {conv({1, 1, 0, 0, 0, 0, 1, 1, 2})}},
      {"max_pool2d", {pool({})}},
      {"max_pool2d_padded", {pool({3, 3, 2, 2, 1, 1})}},
      {"batch_norm_train", {norm(true)}},
      {"batch_norm", {norm(false)}},
      {"embedding", {[](In in) { return Variables{embedding(in[0], in[1].data())}; }}},
      {"lstm_cell", {cell(lstm_cell), cell(lstm_cell_composed)}},
      {"lstm_sequence", {sequence}},
      {"additive_attention", {attention(additive_attention), attention(additive_attention_composed)}},
  };
  return all;
}

std::vector<int64_t> numbers(const std::string& text) {
  std::vector<int64_t> all;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) all.push_back(std::stoll(part));
  return all;
}

std::vector<Op> find(const std::string& name) {
  if (const auto found = ops().find(name); found != ops().end()) return found->second;
  const size_t at = name.rfind('_');
  const std::string op = name.substr(0, at);
  const std::vector<int64_t> n = numbers(name.substr(at + 1));
  const Shape shape{std::span(n)};
  const int d = static_cast<int>(n[0]);
  if (op == "sum") return {[=](In in) { return Variables{sum(in[0], {d})}; }};
  if (op == "mean") return {[=](In in) { return Variables{mean(in[0], {d})}; }};
  if (op == "max") return {[=](In in) { return Variables{max(in[0], d)}; }};
  if (op == "logsumexp") return {[=](In in) { return Variables{logsumexp(in[0], d)}; }};
  if (op == "argmax") return {[=](In in) { return Variables{argmax(in[0].data(), d)}; }};
  if (op == "softmax") return {dim(softmax, d)};
  if (op == "log_softmax") return {dim(log_softmax, d)};
  if (op == "reshape") return {[=](In in) { return Variables{reshape(in[0], shape)}; }};
  if (op == "expand") return {[=](In in) { return Variables{expand(in[0], shape)}; }};
  if (op == "adaptive_avg_pool2d")
    return {[=](In in) { return Variables{adaptive_avg_pool2d(in[0], shape[0], shape[1])}; }};
  if (op == "topk")
    return {[=](In in) {
      const TopK best = topk(in[0].data(), d);
      return Variables{best.values, best.indices};
    }};
  FAIL(name, " is not known");
  return {};
}

// "i(2,0)" and the like.
Shape shape_of(const std::string& text) {
  const size_t open = text.find('('), close = text.find(')');
  const std::vector<int64_t> sizes = numbers(text.substr(open + 1, close - open - 1));
  return Shape(std::span(sizes));
}

// "(2,0):-", "(3):0.5", "(2):1,2": the shape, and the value of all elements or of each.
void expect(const Tensor& got, const std::string& wanted) {
  REQUIRE(got.shape() == shape_of(wanted));
  const std::string text = wanted.substr(wanted.find(':') + 1);
  CHECK((text == "-") == (got.numel() == 0));
  if (text == "-") return;
  std::vector<double> numbers;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) numbers.push_back(std::stod(part));
  const std::vector<double> have = tests::values(got);
  REQUIRE((numbers.size() == 1 || numbers.size() == have.size()));
  for (size_t i = 0; i < have.size(); ++i) {
    const double v = have[i], value = numbers.size() == 1 ? numbers[0] : numbers[i];
    CAPTURE(i);
    CAPTURE(v);
    CHECK((std::isnan(value) ? std::isnan(v) : v == value || std::abs(v - value) <= 1e-14));
  }
}

void check_line(const std::string& line) {
  CAPTURE(line);
  std::istringstream text(line);
  std::string name, token;
  text >> name;
  std::vector<std::string> outputs, gradients;
  for (const Op& op : find(name)) {
    std::istringstream rest(line.substr(name.size()));
    Variables inputs, leaves;
    while (rest >> token && token != "->" && token != "refused") {
      const double value = 0.25 * static_cast<double>(inputs.size() + 1);
      const bool index = token[0] == 'i';
      inputs.emplace_back(index ? Tensor::zeros(shape_of(token), DType::i64)
                                : Tensor::full(shape_of(token), value, DType::f64),
                          !index);
      if (!index) leaves.push_back(inputs.back());
    }
    if (token == "refused") {
      bool refused = false;
      try {
        op(inputs);
      } catch (const tensor::Error& e) {
        refused = true;
        // A sentence that names the op, not a failure further in.
        CHECK(e.kind() != ErrorKind::internal);
        CHECK_MESSAGE(std::string(e.what()).find(": ") != std::string::npos, std::string(e.what()));
      }
      CHECK_MESSAGE(refused, "it should be refused");
      continue;
    }
    const Variables results = op(inputs);
    Variables roots, seeds;
    for (const Variable& result : results) {
      REQUIRE(static_cast<bool>(rest >> token));
      expect(result.data(), token);
      if (!result.requires_grad()) continue;
      roots.push_back(result);
      seeds.emplace_back(Tensor::full(result.shape(), 1, DType::f64));
    }
    REQUIRE(static_cast<bool>(rest >> token));
    REQUIRE(token == "=>");
    if (!(rest >> token) || token == "refused") continue;
    REQUIRE(!roots.empty());
    const Variables found = grad(roots, leaves, seeds, false, false, true);
    for (size_t i = 0; i < leaves.size(); ++i, rest >> token) {
      CAPTURE(i);
      expect(found[i].defined() ? found[i].data() : Tensor::zeros(leaves[i].shape(), DType::f64), token);
    }
  }
}

}  // namespace

// tests/golden/make_empty.py made the lines.
TEST_CASE("sizes of 0: values, shapes, gradients and refusals are PyTorch's") {
  std::ifstream file(tests::source_dir() / "tests/golden/empty.txt");
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) try {
      check_line(line);
    } catch (const tensor::Error& e) {
      FAIL_CHECK(line, ": ", std::string(e.what()));
    }
  CHECK(lines > 300);
}
