// The suite has to bite: ops with mistakes of the usual kinds, and which check finds each.
#include <doctest/doctest.h>

#include <cstring>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "autograd/testing/op_suite.h"
#include "tensor/thread_pool.h"

using namespace autograd;
using namespace autograd::testing;
using tensor::Device;

namespace {

// An op of one or two inputs whose backward pass is given as a function.
class Planted final : public Node {
 public:
  using Backward = std::function<Variables(const Variables& gradients, const Variables& saved)>;
  Planted(Variables inputs, Backward backward) : Node("planted"), backward_(std::move(backward)) {
    for (const Variable& input : inputs) save(input);
    count_ = static_cast<int>(inputs.size());
  }
  Variables apply(const Variables& gradients) override {
    Variables kept;
    for (int i = 0; i < count_; ++i) kept.push_back(saved(i));
    return backward_(gradients, kept);
  }

 private:
  Backward backward_;
  int count_;
};

Variable planted(const Variable& good, const Variables& inputs, Planted::Backward backward) {
  return record<Planted>(good.data().clone(), inputs, inputs, std::move(backward));
}

// The record of `name` with another op in its samples, as many as the mistake needs.
OpReport with(const char* name, const OpFunction& op, const char* only = nullptr) {
  OpRecord record = *find_op(name);
  std::vector<Sample> kept;
  for (Sample& sample : record.samples) {
    if (only != nullptr && sample.label.find(only) == std::string::npos) continue;
    sample.op = op;
    kept.push_back(sample);
  }
  record.samples = kept;
  record.errors.clear();
  REQUIRE(!record.samples.empty());
  return check_op(record);
}

// Caught, and by this check among others.
void caught(const OpReport& report, const std::string& by) {
  CHECK(!report.ok());
  bool found = false;
  std::string all;
  for (const std::string& failure : report.failures) {
    found = found || failure.find(by) != std::string::npos;
    if (all.size() < 2000) all += failure + "\n";
  }
  CHECK_MESSAGE(found, "'", by, "' is not in:\n", all);
}

Variable detached(const Variable& x) { return x.detach(); }

}  // namespace

TEST_CASE("planted 1: a term of the derivative is missing (tanh: 1 - y^2 without the square)") {
  const OpReport report = with("tanh", [](const Variables& in) {
    return Variables{planted(tanh(detached(in[0])), in, [](const Variables& g, const Variables& x) {
      return Variables{g[0] * (1 - tanh(x[0]))};
    })};
  });
  caught(report, "derivative f64: gradcheck: output 0, input 0");
}

TEST_CASE("planted 2: a kernel that ignores strides") {
  const OpReport report = with(
      "square",
      [](const Variables& in) {
        const Tensor& x = in[0].data();
        Tensor y = Tensor::empty(x.shape(), x.dtype());
        tensor::dispatch_float(x.dtype(), "planted", [&]<class T>() {
          const T* from = x.data<T>();
          T* to = y.mutable_data<T>();
          for (int64_t i = 0; i < y.numel(); ++i) to[i] = from[i] * from[i];
        });
        return Variables{planted(
            y, in, [](const Variables& g, const Variables& v) { return Variables{g[0] * v[0] * 2}; })};
      },
      "(3, 4)");
  caught(report, "layout f32: input 0 transposed: output 0");
}

TEST_CASE("planted 3: a broadcast gradient of which one row is kept in place of the sum") {
  const OpReport report = with(
      "add",
      [](const Variables& in) {
        return Variables{
            planted(add(detached(in[0]), detached(in[1])), in, [](const Variables& g, const Variables& x) {
              Variables out;
              for (const Variable& v : x) {
                Variable part = g[0];
                while (part.rank() > v.rank()) part = select(part, 0, 0);
                for (int d = 0; d < v.rank(); ++d)
                  if (v.size(d) != part.size(d)) part = slice(part, d, 0, 1);
                out.push_back(part);
              }
              return out;
            })};
      },
      "(2, 1, 4)");
  caught(report, "derivative f64: gradcheck");
}

TEST_CASE("planted 4: backward reads what forward has changed since (a stale save)") {
  const OpReport report = with(
      "exp",
      [](const Variables& in) {
        auto kept = std::make_shared<Tensor>(exp(detached(in[0])).data().clone());
        const Variable y = planted(Variable(*kept), in, [kept](const Variables& g, const Variables&) {
          return Variables{g[0] * Variable(*kept)};
        });
        kept->fill_(1);  // not through the version counter of what the node saved
        return Variables{y};
      },
      "(3, 4)");
  caught(report, "derivative f64: gradcheck");
}

TEST_CASE("planted 5: off by one (a sum that leaves out the last element of a row)") {
  const OpReport report = with(
      "sum", [](const Variables& in) { return Variables{sum(slice(in[0], 1, 0, in[0].size(1) - 1))}; },
      "(3, 4) over ()");
  caught(report, "forward f64: output 0");
}

TEST_CASE("planted 6: a mean whose gradient is not divided") {
  const OpReport report = with(
      "mean",
      [](const Variables& in) {
        return Variables{planted(mean(detached(in[0])), in, [](const Variables& g, const Variables& x) {
          return Variables{expand(g[0], x[0].shape())};
        })};
      },
      "(3, 4) over ()");
  caught(report, "derivative f64: gradcheck");
}

TEST_CASE("planted 7: one input gets no gradient") {
  const OpReport report = with(
      "mul",
      [](const Variables& in) { return Variables{mul(in[0], in.size() > 1 ? detached(in[1]) : in[0])}; },
      "(3, 4) and (3, 4)");
  caught(report, "input 1 requires a gradient and got none");
}

TEST_CASE("planted 8: bits that depend on the number of threads") {
  const OpReport report = with(
      "neg",
      [](const Variables& in) { return Variables{affine(in[0], -1.0 - 1e-15 * tensor::num_threads(), 0)}; },
      "(3, 4)");
  caught(report, "repeat f64: with 2 threads");
}

TEST_CASE("planted 9: a write behind the output's memory") {
  const OpReport report = with(
      "neg",
      [](const Variables& in) {
        Tensor y = neg(detached(in[0])).data().clone();
        if (y.numel() == 12) std::memset(y.mutable_raw() + y.bytes(), 0, 1);
        return Variables{planted(Variable(y), in,
                                 [](const Variables& g, const Variables&) { return Variables{neg(g[0])}; })};
      },
      "(3, 4)");
  caught(report, "something was written behind a block");
}

TEST_CASE("planted 10: an input that is changed") {
  const OpReport report = with(
      "relu",
      [](const Variables& in) {
        const Variable y = relu(in[0]);
        Tensor x = in[0].data();
        if (x.numel() > 0) x.fill_(3);
        return Variables{y};
      },
      "(3, 5)");
  caught(report, "was changed");
}

TEST_CASE("planted 11: memory that nobody wrote (an accumulator that is not cleared)") {
  const OpReport report = with(
      "matmul",
      [](const Variables& in) {
        Tensor y = Tensor::empty({in[0].size(0), in[1].size(1)}, in[0].dtype());
        tensor::kernels::matmul(y, in[0].data(), in[1].data(), 1, 1);  // beta 1: adds to what is there
        return Variables{Variable(y)};
      },
      "(2, 3) x (3, 4)");
  caught(report, "forward f32: output 0 is nan");
}

TEST_CASE("planted 12: another result at each call") {
  int calls = 0;
  const OpReport report = with(
      "affine", [&](const Variables& in) { return Variables{affine(in[0], 1.5, -0.25 + 1e-14 * ++calls)}; },
      "(3, 4)");
  caught(report, "repeat f64: with 1 threads the bits differ");
}

TEST_CASE("planted 13: a fused op that claims two derivatives and gives a wrong second one") {
  const OpReport report = with(
      "square",
      [](const Variables& in) {
        return Variables{planted(square(detached(in[0])), in, [](const Variables& g, const Variables& x) {
          return Variables{g[0] * detached(x[0]) * 2};  // right, but cut off from the graph
        })};
      },
      "(3, 4)");
  caught(report, "second derivative");
}

TEST_CASE("planted 14: integers that are computed where they should be refused") {
  const OpReport report = with(
      "relu",
      [](const Variables& in) { return Variables{in[0].dtype() == DType::i64 ? in[0] : relu(in[0])}; },
      "(3, 5)");
  caught(report, "type i64: it should be refused");
}

TEST_CASE("planted 15: an error without the shapes") {
  OpRecord record = *find_op("add");
  record.samples.clear();
  record.errors = {
      {"shapes", [] { tensor::fail(ErrorKind::shape, "add: wrong"); }, ErrorKind::shape, {"add", "(2, 3)"}}};
  caught(check_op(record), "'add: wrong' does not say '(2, 3)'");
}

TEST_CASE("planted 16: a fused op that differs from its composed form") {
  const OpRecord& linear_record = *find_op("linear");
  OpRecord record = linear_record;
  record.samples.resize(1);
  record.samples[0].composed = [](const Variables& in) {
    return Variables{matmul(in[0], transpose(in[1], 0, 1))};
  };
  caught(check_op(record), "composed f64: fused: output 0");
}

TEST_CASE("planted 17: strides that are mixed up only where both inputs have some") {
  const OpReport report = with(
      "mul",
      [](const Variables& in) {
        const Tensor &a = in[0].data(), &b = in[1].data();
        if (a.is_contiguous() || b.is_contiguous()) return Variables{in[0] * in[1]};
        return Variables{
            planted(detached(in[0]) * detached(in[1]) * 2, in, [](const Variables& g, const Variables& x) {
              return Variables{g[0] * x[1], g[0] * x[0]};
            })};
      },
      "(2, 3) and (2, 3)");
  caught(report, "layout f64: input 0 transposed 1 strided: output 0");
}
