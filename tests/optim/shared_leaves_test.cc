// Several threads compute the gradients of one model, each of its part of the batch.
#include <doctest/doctest.h>

#include <thread>

#include "autograd/ops.h"
#include "nn/linear.h"
#include "optim/sgd.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using tensor::DType;
using tensor::Tensor;

TEST_CASE("threads that each take a part of the batch train as one thread does") {
  constexpr int kThreads = 3;
  tensor::Generator generator(1);
  nn::Linear shared(4, 2, true, generator), alone(4, 2);
  alone.load_state_dict(shared.state_dict());
  optim::SGD of_shared(shared.named_parameters(), {.lr = 0.125}),
      of_alone(alone.named_parameters(), {.lr = 0.125});
  for (int step = 0; step < 20; ++step) {
    // Whole numbers, and a loss that is linear in the weights: sums are exact in any order.
    std::vector<Variable> parts;
    for (int t = 0; t < kThreads; ++t) parts.emplace_back(Tensor::full({5, 4}, step - 3 * t));
    of_shared.zero_grad(), of_alone.zero_grad();
    std::vector<std::thread> threads;
    for (const Variable& part : parts)
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) {
          const Variable dropped = autograd::dropout(part, 0.5, true);  // all draw from one generator
          sum(shared(part) + 0.0 * sum(dropped)).backward({}, false, i == 5);
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (const Variable& part : parts)
      for (int i = 0; i < 10; ++i) sum(alone(part)).backward();
    of_shared.step(), of_alone.step();
    for (const char* name : {"weight", "bias"})
      REQUIRE(tests::values(shared.parameter(name).grad().data()) ==
              tests::values(alone.parameter(name).grad().data()));
  }
  CHECK(tests::values(shared.parameter("weight").data()) == tests::values(alone.parameter("weight").data()));
}
