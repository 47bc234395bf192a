#include "imgcap/cli/train_events.h"

#include <cstdio>

#include "imgcap/data/utf8.h"
#include "imgcap/training/event_log.h"
#include "tensor/error.h"

namespace imgcap::cli {

namespace names = scalar_names;

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
  add(r.step, {{names::kValidationLoss, static_cast<float>(r.loss)},
               {names::kValidationBleu, static_cast<float>(r.scores.bleu[3])},
               {names::kValidationCider, static_cast<float>(r.scores.cider)}});
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
