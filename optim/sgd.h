// Stochastic gradient descent.
#pragma once

#include "optim/optimizer.h"

namespace optim {

struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  // added to the gradient
  bool nesterov = false;    // needs momentum and no dampening
};

// torch.optim.SGD: g += weight_decay w;  b = momentum b + (1 - dampening) g (the first b is g);
// w -= lr (nesterov ? g + momentum b : b).
class SGD : public Optimizer {
 public:
  explicit SGD(NamedParameters parameters, const SgdOptions& options = {});
  SGD(std::vector<GroupOptions> groups, const SgdOptions& options);

 protected:
  void update(Batch& batch, const ParameterGroup& group, double gradient_scale) override;

 private:
  SgdOptions options_;
};

}  // namespace optim
