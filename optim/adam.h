// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019).
#pragma once

#include "optim/optimizer.h"

namespace optim {

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  // added to the gradient
};

// torch.optim.Adam: m = lerp(m, g, 1 - beta1);  v = beta2 v + (1 - beta2) g^2;
// w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
class Adam : public Optimizer {
 public:
  explicit Adam(NamedParameters parameters, const AdamOptions& options = {});
  Adam(std::vector<GroupOptions> groups, const AdamOptions& options);

 protected:
  Adam(const char* name, std::vector<GroupOptions> groups, const AdamOptions& options, bool decoupled);
  void update(Batch& batch, const ParameterGroup& group, double gradient_scale) override;

 private:
  AdamOptions options_;
  bool decoupled_;
};

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;  // acts on the weight: w *= 1 - lr weight_decay before the step
};

class AdamW : public Adam {
 public:
  explicit AdamW(NamedParameters parameters, const AdamWOptions& options = {});
  AdamW(std::vector<GroupOptions> groups, const AdamWOptions& options);
};

}  // namespace optim
