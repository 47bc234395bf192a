// What the last backward pass through a graph may write over, and what not.
#include <functional>

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "tensor/allocator.h"
#include "tensor/random.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using tests::values;
using Values = std::vector<double>;

namespace {

// By how much f raises the most memory that was ever in use, beginning from there.
int64_t more_memory(const std::function<void()>& f) {
  const tensor::AllocatorStatistics now = tensor::allocator_statistics();
  std::vector<Tensor> filled;  // in pieces, as sizes of blocks are rounded up
  constexpr int64_t kPiece = int64_t{1} << 20;
  while (tensor::allocator_statistics().bytes_in_use + kPiece <= now.peak_bytes)
    filled.push_back(Tensor::empty({kPiece / 4}));
  f();
  return tensor::allocator_statistics().peak_bytes - now.peak_bytes;
}

}  // namespace

TEST_CASE("the last backward pass through a cross-entropy writes over logits that nobody else has") {
  constexpr int64_t kFew = 3;
  const int64_t rows = 1024, classes = 4096, bytes = rows * classes * 4;
  const Tensor targets = Tensor::zeros({rows}, DType::i64);
  for (const bool held : {false, true}) {
    CAPTURE(held);
    const Variable x(Tensor::full({rows, classes}, 0.5), true);
    Variable logits = x * 2.0;
    const Variable loss = cross_entropy(logits, targets);
    const Tensor view = held ? logits.data().select(0, 0) : Tensor();
    logits = Variable();
    // The gradient of x, and that of the logits.
    const int64_t more = more_memory([&] { loss.backward(); });
    CHECK(more >= (held ? 2 : 1) * bytes - (int64_t{1} << 20));
    CHECK(more < (held ? 3 : 2) * bytes);
    if (held) CHECK(values(view) == Values(classes, 1.0));
    CHECK(x.grad().data().select(0, 1).to_vector<float>()[5] == doctest::Approx(2.0 / 4096 / 1024));
  }
  // Nor over a leaf's memory, which may be somebody's that is only lent.
  const Values lent(static_cast<size_t>(kFew * kFew), 1.0);
  const std::shared_ptr<const void> owner(&lent, [](const void*) {});
  Variable leaf(Tensor::wrap(lent.data(), {kFew, kFew}, DType::f64, owner), true);
  const Variable loss = cross_entropy(leaf, Tensor::zeros({kFew}, DType::i64));
  leaf = Variable();
  loss.backward();
  CHECK(lent == Values(static_cast<size_t>(kFew * kFew), 1.0));
}

TEST_CASE(
    "an LSTM's last backward pass may write over its gates; one that keeps the graph gives the same again") {
  tensor::Generator generator(1);
  const auto leaf = [&](const Shape& shape) {
    Tensor t = Tensor::empty(shape, DType::f64);
    tensor::fill_uniform(t, -1, 1, generator);
    return Variable(t, true);
  };
  const Variables leaves = {leaf({5, 3, 4}), leaf({24, 4}), leaf({24, 6}), leaf({24}), leaf({24})};
  const LstmState zero{Tensor::zeros({3, 6}, DType::f64), Tensor::zeros({3, 6}, DType::f64)};
  const LstmSequence run = lstm_sequence(leaves[0], zero, leaves[1], leaves[2], leaves[3], leaves[4]);
  const Variable y = sum(square(run.outputs));
  const Variables kept = grad({y}, leaves, {}, true);
  for (const bool keep : {true, false}) {
    const Variables again = grad({y}, leaves, {}, keep);
    for (size_t i = 0; i < leaves.size(); ++i) CHECK(values(kept[i].data()) == values(again[i].data()));
  }
  CHECK_THROWS(grad({y}, leaves));
}
