// A network of two layers that learns x1 - 2 x2.
#include <cstdio>

#include "autograd/ops.h"
#include "nn/linear.h"
#include "optim/sgd.h"

class Net : public nn::Layer {
 public:
  explicit Net(tensor::Generator& generator)
      : first_(add<nn::Linear>("first", 2, 8, true, generator)),
        second_(add<nn::Linear>("second", 8, 1, true, generator)) {}
  autograd::Variable forward(const autograd::Variable& x) override {
    return second_(autograd::tanh(first_(x)));
  }
  std::string describe() const override { return "Net"; }

 private:
  nn::Linear &first_, &second_;
};

int main() {
  tensor::Generator generator(1);
  Net net(generator);
  optim::SGD optimizer(net.named_parameters(), {.lr = 0.05});
  const autograd::Variable x = tensor::Tensor::from(std::vector<float>{1, 0, 0, 1, 1, 1, -1, 1}, {4, 2});
  const autograd::Variable y = tensor::Tensor::from(std::vector<float>{1, -2, -1, -3}, {4, 1});
  double loss = 0;
  for (int step = 0; step < 500; ++step) {
    optimizer.zero_grad();
    const autograd::Variable error = autograd::mean(autograd::square(net(x) - y));
    error.backward();
    optimizer.step();
    loss = error.item();
  }
  std::printf("loss %.2g\n", loss);
  return loss < 0.01 ? 0 : 1;
}
