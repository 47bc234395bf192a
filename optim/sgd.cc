#include "optim/sgd.h"

#include <cmath>

#include "tensor/error.h"
#include "tensor/kernels.h"

namespace optim {

using tensor::check;

SGD::SGD(NamedParameters parameters, const SgdOptions& options)
    : SGD({GroupOptions{std::move(parameters)}}, options) {}

SGD::SGD(std::vector<GroupOptions> groups, const SgdOptions& options)
    : Optimizer("SGD", std::move(groups), options.lr, options.weight_decay,
                options.momentum == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"}),
      options_(options) {
  check(std::isfinite(options.momentum) && options.momentum >= 0 && std::isfinite(options.dampening),
        ErrorKind::argument, "SGD: momentum {} or dampening {} is not possible", options.momentum,
        options.dampening);
  check(!options.nesterov || (options.momentum > 0 && options.dampening == 0), ErrorKind::argument,
        "SGD: Nesterov needs momentum and no dampening, not {} and {}", options.momentum, options.dampening);
}

void SGD::update(Batch& batch, const ParameterGroup& group, double gradient_scale) {
  tensor::kernels::sgd({.weights = batch.weights,
                        .buffers = options_.momentum == 0 ? std::vector<Tensor>() : batch.state[0],
                        .gradients = batch.gradients,
                        .from = batch.from,
                        .lr = group.lr,
                        .momentum = options_.momentum,
                        .dampening = options_.dampening,
                        .weight_decay = group.weight_decay,
                        .nesterov = options_.nesterov,
                        .step = batch.step,
                        .gradient_scale = gradient_scale});
}

}  // namespace optim
