// Elementwise functions as layers, for Sequential; elsewhere call the functions of autograd/ops.h.
#pragma once

#include "autograd/ops.h"
#include "nn/module.h"

namespace nn {

class ReLU : public Layer {
 public:
  Variable forward(const Variable& x) override { return autograd::relu(x); }
  std::string describe() const override { return "ReLU()"; }
};

// min(max(x, 0), 6)
class ReLU6 : public Layer {
 public:
  Variable forward(const Variable& x) override { return autograd::relu6(x); }
  std::string describe() const override { return "ReLU6()"; }
};

class Tanh : public Layer {
 public:
  Variable forward(const Variable& x) override { return autograd::tanh(x); }
  std::string describe() const override { return "Tanh()"; }
};

class Sigmoid : public Layer {
 public:
  Variable forward(const Variable& x) override { return autograd::sigmoid(x); }
  std::string describe() const override { return "Sigmoid()"; }
};

// (n, ...) -> (n, product of the rest)
class Flatten : public Layer {
 public:
  Variable forward(const Variable& x) override { return autograd::flatten(x, 1, -1); }
  std::string describe() const override { return "Flatten(start_dim=1, end_dim=-1)"; }
};

}  // namespace nn
