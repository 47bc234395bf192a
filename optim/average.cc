#include "optim/average.h"

#include <algorithm>

#include "tensor/error.h"
#include "tensor/kernels.h"

namespace optim {

using tensor::check;

ParameterAverage::ParameterAverage(NamedParameters parameters, const AverageOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  check(!parameters_.empty(), ErrorKind::argument, "average: there are no parameters");
  check(!options.decay || (*options.decay >= 0 && *options.decay < 1), ErrorKind::argument,
        "average: the decay has to be in [0, 1), not {}", options.decay.value_or(0));
  for (const auto& [name, variable] : parameters_)
    check(variable.defined(), ErrorKind::argument, "average: '{}' is undefined", name);
}

void ParameterAverage::update() {
  update(updates_, {});
  ++updates_;
}

void ParameterAverage::queue_update(const Tensor& block, int64_t counted) {
  update(updates_ - counted, block);
}

void ParameterAverage::update(int64_t t, const Tensor& block) {
  check(!swapped_, ErrorKind::argument, "average: the averages are swapped in; swap() them out to update");
  if (averages_.empty())
    for (const auto& [name, variable] : parameters_)
      averages_.push_back(Tensor::empty(variable.shape(), variable.dtype(), variable.device()));
  std::vector<Tensor> parameters;
  for (const auto& [name, variable] : parameters_) parameters.push_back(variable.data().contiguous());
  tensor::kernels::average({.averages = averages_,
                            .parameters = parameters,
                            .block = block,
                            .decay = options_.decay,
                            .warm_up = options_.warm_up,
                            .t = t});
}

void ParameterAverage::swap() {
  check(updates_ > 0, ErrorKind::argument, "average: there has been no update");
  for (size_t i = 0; i < parameters_.size(); ++i)
    std::swap(parameters_[i].second.mutable_data(), averages_[i]);
  swapped_ = !swapped_;
}

State ParameterAverage::state_dict() const {
  State state;
  state.scalars["updates"] = static_cast<double>(updates_);
  if (updates_ > 0)
    for (size_t i = 0; i < parameters_.size(); ++i)
      state.tensors["average." + parameters_[i].first] = average(i);
  return state;
}

void ParameterAverage::load_state_dict(const State& state) {
  check(!swapped_, ErrorKind::argument, "average: the averages are swapped in; swap() them out to load");
  const auto count = state.scalars.find("updates");
  check(count != state.scalars.end() && state.scalars.size() == 1 && is_count(count->second), ErrorKind::data,
        "average: the state has no valid number of updates");
  const size_t expected = count->second > 0 ? parameters_.size() : 0;
  check(state.tensors.size() == expected, ErrorKind::data, "average: the state has {} tensors, not {}",
        state.tensors.size(), expected);
  std::vector<Tensor> averages;
  for (size_t i = 0; i < expected; ++i) {
    const auto& [name, variable] = parameters_[i];
    const auto found = state.tensors.find("average." + name);
    check(found != state.tensors.end() && found->second.defined(), ErrorKind::data,
          "average: the state has no average.{}", name);
    check(found->second.shape() == variable.shape() && tensor::is_floating(found->second.dtype()),
          ErrorKind::data, "average: average.{} is {}, the parameter {}", name,
          tensor::describe(found->second), tensor::describe(variable.data()));
    Tensor copy = Tensor::empty(variable.shape(), variable.dtype(), variable.device());
    copy.copy_(found->second.to(variable.device()));
    averages.push_back(std::move(copy));
  }
  averages_ = std::move(averages);
  updates_ = static_cast<int64_t>(count->second);
}

}  // namespace optim
