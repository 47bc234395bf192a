#include "imgcap/cli/train_events.h"

#include <array>
#include <cstdio>
#include <utility>

#include "imgcap/data/utf8.h"
#include "imgcap/training/event_log.h"
#include "tensor/error.h"

namespace imgcap::cli {

namespace names = scalar_names;

namespace {

// Of a validation, or of one of its sets.
template <class V>
std::array<std::pair<const char*, double>, 3> three_of(const V& v) {
  return {{{names::kValidationLoss, v.loss},
           {names::kValidationBleu, v.scores.bleu[3]},
           {names::kValidationCider, v.scores.cider}}};
}

}  // namespace

TrainEvents::TrainEvents(const std::filesystem::path& folder, std::optional<int64_t> first_step) {
  writer_.emplace(folder, first_step);
}

void TrainEvents::add(const StepReport& r) {
  const auto f = [](double value) { return static_cast<float>(value); };
  tensor::io::Scalars scalars = {
      {names::kLoss, f(r.loss)}, {names::kGradientNorm, f(r.gradient_norm)}, {names::kLearningRate, f(r.lr)}};
  if (r.reward > 0) scalars.emplace_back(names::kReward, f(*r.reward));
  add(r.step, scalars);
}

void TrainEvents::add(const ValidationReport& r) {
  tensor::io::Scalars scalars;
  // The sets' first: what is read ends with the means (add_events).
  for (const SetValidation& set : r.sets)
    for (const auto& [name, value] : three_of(set))
      scalars.emplace_back(names::of_set(name, set.set), static_cast<float>(value));
  for (const auto& [name, value] : three_of(r)) scalars.emplace_back(name, static_cast<float>(value));
  add(r.step, scalars);
}

void TrainEvents::add(int64_t step, const tensor::io::Scalars& scalars) {
  if (!writer_) return;
  try {
    writer_->add(step, scalars);
  } catch (const tensor::Error& error) {
    if (error.kind() != tensor::ErrorKind::io) throw;
    writer_.reset();
    std::fprintf(stderr, "imgcap: %s; training goes on, TensorBoard's file ends before step %lld\n",
                 printable(error.what()).c_str(), static_cast<long long>(step));
  }
}

}  // namespace imgcap::cli
