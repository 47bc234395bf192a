// Mixed precision: policies, the cache of casts, guards, and 16-bit tensors in every op.
#include "autograd/autocast.h"

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <thread>

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "tests/golden.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::random;
using tests::values;

namespace {

Variable leaf(const Shape& shape, uint64_t seed, DType dtype = DType::f32) {
  return Variable(random(shape, DType::f32, seed, 0.1, 1).to(dtype), true);
}

Tensor ids(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

using One = std::function<Variable(const Variable&)>;
using Two = std::function<Variable(const Variable&, const Variable&)>;

const std::map<std::string, One>& one_input() {
  static const Variable w = leaf({3, 4}, 20), conv = leaf({2, 1, 3, 3}, 21);
  static const Variables gates = {leaf({12, 4}, 22), leaf({12, 3}, 23), leaf({12}, 24), leaf({12}, 25)};
  static const LstmState state{leaf({5, 3}, 26), leaf({5, 3}, 27)};
  static const std::map<std::string, One> ops = {
      {"exp", [](const Variable& x) { return exp(x); }},
      {"log", [](const Variable& x) { return log(x); }},
      {"sqrt", [](const Variable& x) { return sqrt(x); }},
      {"pow", [](const Variable& x) { return pow(x, 3); }},
      {"square", [](const Variable& x) { return square(x); }},
      {"abs", [](const Variable& x) { return abs(x); }},
      {"neg", [](const Variable& x) { return neg(x); }},
      {"affine", [](const Variable& x) { return affine(x, 2, 0); }},
      {"relu", [](const Variable& x) { return relu(x); }},
      {"tanh", [](const Variable& x) { return tanh(x); }},
      {"sigmoid", [](const Variable& x) { return sigmoid(x); }},
      {"clamp", [](const Variable& x) { return clamp(x, 0, 1); }},
      {"sum", [](const Variable& x) { return sum(x); }},
      {"mean", [](const Variable& x) { return mean(x); }},
      {"max", [](const Variable& x) { return max(x, 1); }},
      {"logsumexp", [](const Variable& x) { return logsumexp(x, 1); }},
      {"softmax", [](const Variable& x) { return softmax(x, 1); }},
      {"log_softmax", [](const Variable& x) { return log_softmax(x, 1); }},
      {"cross_entropy",
       [](const Variable& x) {
         return cross_entropy(x, ids({0, 1, 2, 3, 0}));
       }},
      {"linear", [](const Variable& x) { return linear(x, w); }},
      {"matmul", [](const Variable& x) { return matmul(x, transpose(w, 0, 1)); }},
      {"conv2d",
       [](const Variable& x) {
         return conv2d(reshape(x, {1, 1, 5, 4}), conv, {}, {});
       }},
      {"max_pool2d",
       [](const Variable& x) {
         return max_pool2d(reshape(x, {1, 1, 5, 4}), {});
       }},
      {"adaptive_avg_pool2d",
       [](const Variable& x) {
         return adaptive_avg_pool2d(reshape(x, {1, 1, 5, 4}), 2, 2);
       }},
      {"batch_norm",
       [](const Variable& x) { return batch_norm(x, leaf({4}, 30), leaf({4}, 31), {}, {}, true, 1e-5); }},
      {"embedding",
       [](const Variable& x) {
         return embedding(x, ids({0, 2}));
       }},
      {"dropout", [](const Variable& x) { return dropout(x, 0.5, true); }},
      {"lstm_cell.h",
       [](const Variable& x) { return lstm_cell(x, state, gates[0], gates[1], gates[2], gates[3]).h; }},
      {"lstm_cell.c",
       [](const Variable& x) { return lstm_cell(x, state, gates[0], gates[1], gates[2], gates[3]).c; }},
  };
  return ops;
}

const std::map<std::string, Two>& two_inputs() {
  static const std::map<std::string, Two> ops = {
      {"add", add},
      {"sub", sub},
      {"mul", mul},
      {"div", autograd::div},
      {"maximum", maximum},
      {"minimum", minimum},
      {"where",
       [](const Variable& a, const Variable& b) {
         return where(Tensor::full({5, 4}, 1, DType::boolean), a, b);
       }},
      {"cat",
       [](const Variable& a, const Variable& b) {
         return cat({a, b}, 0);
       }},
      {"stack",
       [](const Variable& a, const Variable& b) {
         return stack({a, b}, 0);
       }},
  };
  return ops;
}

std::string name(DType dtype) { return std::string(tensor::name_of(dtype)); }

// Backward, so that every gradient is checked by the engine against its input's type.
void expect_backward(const Variable& result, const Variables& inputs) {
  backward({result}, {Tensor::full(result.shape(), 1, result.dtype())});
  for (const Variable& input : inputs) {
    REQUIRE(input.grad().defined());
    CHECK(input.grad().dtype() == input.dtype());
  }
}

}  // namespace

TEST_CASE("autocast: the type of every op's result, beside PyTorch's") {
  // Where ours is not CUDA's there, and why.
  const std::map<std::string, std::string> ours = {
      {"sqrt", "f32"},         // its derivative grows without bound
      {"mean", "f32"},         // a sum, and sums are f32
      {"lstm_cell.c", "f32"},  // an accumulator over time
  };
  std::ifstream file(tests::source_dir() / "tests/golden/autocast.txt");
  std::string op, given, cpu, cuda;
  int lines = 0;
  while (file >> op >> given >> cpu >> cuda) {
    ++lines;
    CAPTURE(op);
    CAPTURE(given);
    const Variable a = leaf({5, 4}, 1, given == "f32" ? DType::f32 : DType::bf16);
    const Variable b = leaf({5, 4}, 2, given == "bf16" ? DType::bf16 : DType::f32);
    const bool binary = two_inputs().contains(op);
    Variable result;
    {
      const AutocastGuard guard(DType::bf16);
      result = binary ? two_inputs().at(op)(a, b) : one_input().at(op)(a);
    }
    CHECK(name(result.dtype()) == (ours.contains(op) ? ours.at(op) : cuda));
    expect_backward(result, binary ? Variables{a, b} : Variables{a});
  }
  CHECK(lines == static_cast<int>(2 * one_input().size() + 3 * two_inputs().size()));
}

TEST_CASE("16-bit inputs without autocast: one type in, the same out, and gradients of that type") {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    for (const auto& [op, f] : one_input()) {
      if (op == "linear" || op == "matmul" || op == "conv2d" || op.starts_with("lstm"))
        continue;  // f32 weights
      CAPTURE(op);
      const Variable x = leaf({5, 4}, 1, dtype);
      const Variable result = f(x);
      CHECK(result.dtype() == dtype);
      expect_backward(result, {x});
    }
    for (const auto& [op, f] : two_inputs()) {
      CAPTURE(op);
      const Variable a = leaf({5, 4}, 1, dtype), b = leaf({5, 4}, 2, dtype);
      const Variable result = f(a, b);
      CHECK(result.dtype() == dtype);
      expect_backward(result, {a, b});
      CHECK_THROWS_AS(f(a, leaf({5, 4}, 3)), tensor::Error);  // types do not mix
    }
    const Variables v = {leaf({5, 4}, 1, dtype),  leaf({5, 3}, 2, dtype),  leaf({5, 3}, 3, dtype),
                         leaf({12, 4}, 4, dtype), leaf({12, 3}, 5, dtype), leaf({12}, 6, dtype),
                         leaf({12}, 7, dtype)};
    for (const auto& cell : {lstm_cell, lstm_cell_composed}) {
      const LstmState s = cell(v[0], {v[1], v[2]}, v[3], v[4], v[5], v[6]);
      CHECK(s.h.dtype() == dtype);
      CHECK(s.c.dtype() == dtype);
      expect_backward(sum(s.h + s.c), v);
    }
    CHECK_THROWS_WITH_AS(lstm_cell(v[0].data().to(DType::f32), {v[1], v[2]}, v[3], v[4], v[5], v[6]),
                         doctest::Contains("do not mix"), tensor::Error);
    const Variable w = leaf({3, 4}, 8, dtype), bias = leaf({3}, 9, dtype);
    expect_backward(linear(v[0], w, bias), {v[0], w, bias});
    const Variable x = leaf({1, 1, 5, 4}, 10, dtype), k = leaf({2, 1, 3, 3}, 11, dtype),
                   kb = leaf({2}, 12, dtype);
    expect_backward(conv2d(x, k, kb, {}), {x, k, kb});
    const Variables a = {leaf({2, 4, 5}, 1, dtype), leaf({2, 4, 3}, 2, dtype), leaf({3, 5}, 3, dtype),
                         leaf({5}, 4, dtype), leaf({1}, 5, dtype)};
    const Attention attention = additive_attention(a[0], a[1], a[2], ids({1, 0, 1}), a[3], a[4]);
    expect_backward(sum(attention.context), a);
    CHECK_THROWS_WITH_AS(
        additive_attention(a[0], a[1].data().to(DType::f32), a[2], ids({1, 0, 1}), a[3], a[4]),
        doctest::Contains("do not mix"), tensor::Error);
  }
}

TEST_CASE("autocast: f64 is left alone, and other types than 16-bit floats are refused") {
  const AutocastGuard guard(DType::f16);
  CHECK(matmul(random({2, 2}, DType::f64, 1), random({2, 2}, DType::f64, 2)).dtype() == DType::f64);
  CHECK(exp(random({2, 2}, DType::f64, 1)).dtype() == DType::f64);
  CHECK_THROWS_AS(add(random({2, 2}, DType::f64, 1), random({2, 2}, DType::f32, 1)), tensor::Error);
  CHECK(add(random({2}, DType::f32, 1).to(DType::f16), random({2}, DType::f32, 1).to(DType::bf16)).dtype() ==
        DType::f32);
  for (const DType other : {DType::f64, DType::i64, DType::u8})
    CHECK_THROWS_WITH_AS(
        AutocastGuard{other},
        tensor::format("autocast: to f16 or bf16, or f32 for none, not to {}", tensor::name_of(other))
            .c_str(),
        tensor::Error);
  CHECK(autocast_dtype() == DType::f16);  // a refused guard has changed nothing
}

// As in PyTorch:
//   with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False): (a @ b).dtype   # torch.float32
TEST_CASE("autocast: a guard to f32 does nothing alone, and is none inside of another") {
  const Variable a = leaf({2, 3}, 1), b = leaf({3, 2}, 2);
  const std::vector<float> exact = matmul(a, b).data().to_vector<float>();
  {
    const AutocastGuard none(DType::f32);
    CHECK(!autocast_dtype());
    const Variable product = matmul(a, b);
    CHECK(product.dtype() == DType::f32);
    CHECK(product.data().to_vector<float>() == exact);
    // It is no autocast to f32 either: 16-bit floats that are given stay so.
    CHECK(exp(random({2}, DType::f32, 1).to(DType::f16)).dtype() == DType::f16);
    CHECK(autocast_cache_size() == 0);
  }
  const AutocastGuard outer(DType::f16);
  CHECK(matmul(a, b).dtype() == DType::f16);
  {
    const AutocastGuard none(DType::f32);
    CHECK(matmul(a, b).data().to_vector<float>() == exact);
  }
  CHECK(autocast_dtype() == DType::f16);
  CHECK(autocast_cache_size() == 2);  // the inner guard's end clears nothing
}

TEST_CASE("autocast: guards nest, are one thread's, and are off in a backward pass") {
  const Variable a = leaf({2, 3}, 1), b = leaf({3, 2}, 2);
  CHECK(!autocast_dtype());
  CHECK(matmul(a, b).dtype() == DType::f32);
  {
    const AutocastGuard outer(DType::bf16);
    CHECK(matmul(a, b).dtype() == DType::bf16);
    {
      const AutocastGuard inner = AutocastGuard::off();
      CHECK(matmul(a, b).dtype() == DType::f32);
      const AutocastGuard other(DType::f16);
      CHECK(matmul(a, b).dtype() == DType::f16);
    }
    CHECK(matmul(a, b).dtype() == DType::bf16);
    std::optional<DType> elsewhere = DType::f64;
    std::thread([&] { elsewhere = autocast_dtype(); }).join();
    CHECK(!elsewhere);
  }
  CHECK(!autocast_dtype());

  // Inside a backward pass: the product of an f32 op's gradient stays f32 though a guard is there.
  class Probe final : public Node {
   public:
    Probe() : Node("probe") {}
    Variables apply(const Variables& g) override {
      CHECK(!autocast_dtype());
      return {g[0]};
    }
  };
  const AutocastGuard guard(DType::bf16);
  const Variable probed = record<Probe>(a.data(), {a});
  backward({sum(probed)}, {});
  CHECK(autocast_dtype() == DType::bf16);
}

TEST_CASE("autocast: a weight is cast once in a step, and anew when it was changed") {
  Variable w = leaf({3, 4}, 1);
  const Variable x = random({2, 4}, DType::f32, 2);
  const auto cast_of = [](const Variable& v) { return v.grad_fn()->next_edges(); };
  {
    const AutocastGuard guard(DType::bf16);
    const Variable first = linear(x, w), second = linear(x, w);
    CHECK(autocast_cache_size() == 1);  // the input is no weight
    CHECK(cast_of(first)[1].node == cast_of(second)[1].node);
    {
      const AutocastGuard inner = AutocastGuard::off();
      CHECK(autocast_cache_size() == 1);
    }
    CHECK(autocast_cache_size() == 1);  // only the outermost guard clears it
    backward({sum(first + second)}, {});
    // d/dw of twice the sum of x w^T: the sum over rows of x, twice, for each output.
    const Tensor expected = sum(Variable(x.data().to(DType::bf16).to(DType::f32)), {0}).data();
    for (int64_t k = 0; k < 4; ++k)
      CHECK(w.grad().data().select(0, 0).select(0, k).item() ==
            doctest::Approx(2 * expected.select(0, k).item()).epsilon(0.01));

    const double before = linear(x, w).data().select(0, 0).select(0, 0).item();
    w.mutable_data().fill_(1);  // an optimiser's step inside the guard
    CHECK(linear(x, w).data().select(0, 0).select(0, 0).item() != before);
    w.mutable_data() = Tensor::full({3, 4}, 2);  // another tensor altogether
    const double twice = linear(x, w).data().select(0, 0).select(0, 0).item();
    CHECK(twice == doctest::Approx(2 * sum(Variable(x.data().select(0, 0))).item()).epsilon(0.01));
    CHECK(autocast_cache_size() == 1);

    Variable other = leaf({3, 4}, 3);
    {
      const NoGrad no_grad;  // a cast without a node is not for those that need one
      linear(x, other);
      const double unchanged = linear(x, other).data().select(0, 0).select(0, 0).item();
      CHECK(autocast_cache_size() == 2);
      other.mutable_data().fill_(1);
      CHECK(linear(x, other).data().select(0, 0).select(0, 0).item() != unchanged);
      CHECK(autocast_cache_size() == 2);
    }
    const Variable y = linear(x, other);
    CHECK(y.requires_grad());
    backward({sum(y)}, {});
    CHECK(other.grad().defined());
    const AutocastGuard half(DType::f16);
    CHECK(linear(x, w).dtype() == DType::f16);  // a cast to another type is another cast
    CHECK(autocast_cache_size() == 4);
  }
  CHECK(autocast_cache_size() == 0);
}

TEST_CASE("autocast: LSTM sequence and attention, fused beside composed") {
  const Variables v = {leaf({3, 2, 4}, 1), leaf({2, 3}, 2), leaf({2, 3}, 3), leaf({12, 4}, 4),
                       leaf({12, 3}, 5),   leaf({12}, 6),   leaf({12}, 7)};
  const auto run = [&](int which) {
    Variable outputs, c;
    {
      std::optional<AutocastGuard> guard;
      if (which > 0) guard.emplace(DType::bf16);
      if (which == 2) {
        LstmState state{v[1], v[2]};
        Variables steps;
        for (int64_t t = 0; t < 3; ++t) {
          state = lstm_cell_composed(select(v[0], 0, t), state, v[3], v[4], v[5], v[6]);
          steps.push_back(state.h);
        }
        outputs = stack(steps, 0), c = state.c;
      } else {
        const LstmSequence s = lstm_sequence(v[0], {v[1], v[2]}, v[3], v[4], v[5], v[6]);
        outputs = s.outputs, c = s.last.c;
      }
      CHECK(outputs.dtype() == (which > 0 ? DType::bf16 : DType::f32));
      CHECK(c.dtype() == DType::f32);
    }
    backward({sum(square(to(outputs, DType::f32))) + sum(c)}, {});
    std::vector<Tensor> all = {outputs.data(), c.data()};
    for (const Variable& x : v) {
      CHECK(x.grad().dtype() == DType::f32);
      all.push_back(x.grad().data().clone());
      Variable(x).zero_grad();
    }
    return all;
  };
  const auto exact = run(0), fused = run(1), composed = run(2);
  for (size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(i);
    CHECK(tests::relative_error(fused[i], exact[i]) < 10 * 0x1p-8);
    CHECK(tests::relative_error(composed[i], exact[i]) < 10 * 0x1p-8);
  }
  const Variables a = {leaf({2, 4, 5}, 1), leaf({2, 4, 3}, 2), leaf({3, 5}, 3), leaf({5}, 4), leaf({1}, 5)};
  const AutocastGuard guard(DType::bf16);
  const Attention f = additive_attention(a[0], a[1], a[2], ids({1, 0, 1}), a[3], a[4]);
  const Attention c = additive_attention_composed(a[0], a[1], a[2], ids({1, 0, 1}), a[3], a[4]);
  for (const Attention* x : {&f, &c}) {
    CHECK(x->context.dtype() == DType::bf16);
    CHECK(x->alpha.dtype() == DType::f32);
  }
  CHECK(tests::relative_error(f.context.data(), c.context.data()) < 4 * 0x1p-8);
  CHECK(tests::relative_error(f.alpha.data(), c.alpha.data()) < 4 * 0x1p-8);
}

TEST_CASE("cross-entropy's gradient is written over 16-bit logits only where nobody has them any more") {
  const Tensor targets = ids({0, 2, 1, 2, 0});
  for (const DType dtype : {DType::f16, DType::bf16}) {
    Variable x = leaf({5, 4}, 1), w = leaf({3, 4}, 2);
    const auto logits_of = [&] {
      const AutocastGuard autocast(dtype);
      return linear(x, w);
    };
    const auto loss_of = [&](const Variable& logits) {
      const AutocastGuard autocast(dtype);
      const Variable loss = cross_entropy(logits, targets);
      CHECK(loss.dtype() == DType::f32);
      return loss;
    };
    // As of a conversion before it.
    const auto gradient = [&](const std::function<void()>& run) {
      x.zero_grad();
      run();
      return values(x.grad().data());
    };
    const std::vector<double> wanted =
        gradient([&] { cross_entropy(to(logits_of(), DType::f32), targets).backward(); });
    CHECK(gradient([&] { loss_of(logits_of()).backward(); }) == wanted);
    const Variable kept = logits_of();
    const Tensor seen = kept.data();
    const std::vector<double> before = values(seen.to(DType::f64));
    CHECK(gradient([&] { loss_of(kept).backward(); }) == wanted);
    CHECK(values(seen.to(DType::f64)) == before);
    const Variable loss = loss_of(logits_of());
    CHECK(gradient([&] { loss.backward({}, true); }) == wanted);
    CHECK(gradient([&] { loss.backward(); }) == wanted);
    const Variable own(seen.clone(), true);
    loss_of(own).backward();
    CHECK(values(own.data().to(DType::f64)) == before);
    CHECK(own.grad().dtype() == dtype);
  }
}
