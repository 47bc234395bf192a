// A network of two layers that learns x1 - 2 x2.
#include <cstdio>

#include "nn/activation.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "optim/sgd.h"

int main() {
  tensor::Generator generator(1);
  nn::Linear first(2, 8, true, generator), second(8, 1, true, generator);
  optim::NamedParameters parameters = first.named_parameters();
  for (auto& [name, parameter] : second.named_parameters())
    parameters.emplace_back("second." + name, parameter);
  optim::SGD optimizer(parameters, {.lr = 0.05});
  const autograd::Variable x = tensor::Tensor::from(std::vector<float>{1, 0, 0, 1, 1, 1, -1, 1}, {4, 2});
  const autograd::Variable y = tensor::Tensor::from(std::vector<float>{1, -2, -1, -3}, {4, 1});
  double loss = 0;
  for (int step = 0; step < 500; ++step) {
    optimizer.zero_grad();
    const autograd::Variable error = autograd::mean(autograd::square(second(autograd::tanh(first(x))) - y));
    error.backward();
    optimizer.step();
    loss = error.item();
  }
  std::printf("loss %.2g\n", loss);
  return loss < 0.01 ? 0 : 1;
}
