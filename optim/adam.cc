#include "optim/adam.h"

#include <cmath>

#include "tensor/error.h"
#include "tensor/kernels.h"

namespace optim {

using tensor::check;

namespace {

AdamOptions as_adam(const AdamWOptions& o) { return {o.lr, o.beta1, o.beta2, o.eps, o.weight_decay}; }

}  // namespace

Adam::Adam(const char* name, std::vector<GroupOptions> groups, const AdamOptions& options, bool decoupled)
    : Optimizer(name, std::move(groups), options.lr, options.weight_decay, {"exp_avg", "exp_avg_sq"}),
      options_(options),
      decoupled_(decoupled) {
  const auto is_beta = [](double beta) { return beta >= 0 && beta < 1; };
  check(is_beta(options.beta1) && is_beta(options.beta2), ErrorKind::argument,
        "{}: the betas have to be in [0, 1), not {} and {}", name, options.beta1, options.beta2);
  check(std::isfinite(options.eps) && options.eps >= 0, ErrorKind::argument,
        "{}: eps has to be a number that is not negative, not {}", name, options.eps);
}

Adam::Adam(NamedParameters parameters, const AdamOptions& options)
    : Adam({GroupOptions{std::move(parameters)}}, options) {}

Adam::Adam(std::vector<GroupOptions> groups, const AdamOptions& options)
    : Adam("Adam", std::move(groups), options, false) {}

void Adam::update(Batch& batch, const ParameterGroup& group, double gradient_scale) {
  tensor::kernels::adamw({.weights = batch.weights,
                          .m = batch.state[0],
                          .v = batch.state[1],
                          .gradients = batch.gradients,
                          .from = batch.from,
                          .lr = group.lr,
                          .beta1 = options_.beta1,
                          .beta2 = options_.beta2,
                          .eps = options_.eps,
                          .weight_decay = group.weight_decay,
                          .decoupled = decoupled_,
                          .step = batch.step,
                          .gradient_scale = gradient_scale});
}

AdamW::AdamW(NamedParameters parameters, const AdamWOptions& options)
    : AdamW({GroupOptions{std::move(parameters)}}, options) {}

AdamW::AdamW(std::vector<GroupOptions> groups, const AdamWOptions& options)
    : Adam("AdamW", std::move(groups), as_adam(options), true) {}

}  // namespace optim
