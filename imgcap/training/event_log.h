// What TensorBoard's scalars say of a training run. `imgcap train --tensorboard` writes these names, which
// are the original's.
#pragma once

#include <string>

#include "imgcap/training/training_log.h"
#include "tensor/io/events.h"

namespace imgcap {

namespace scalar_names {
inline constexpr const char *kLoss = "Train/Loss", *kGradientNorm = "Train/Gradient Norm",
                            *kLearningRate = "Train/Learning_Rate", *kReward = "Train/Reward",
                            *kValidationLoss = "Validation/Loss", *kValidationBleu = "Validation/BLEU",
                            *kValidationCider = "Validation/CIDEr";
// Each of a validation's three, of one set among several: "Validation/CIDEr/flickr8k".
inline std::string of_set(const char* name, const std::string& set) { return std::string(name) + "/" + set; }
}  // namespace scalar_names

// Adds training losses and validations (loss, BLEU-4 and CIDEr, all three); other scalars are passed over,
// and so are values that are not finite. The CIDEr of sets counts where it stands before the mean. A validation
// counts as of the training step before it in the file: the original numbers its validations by epoch. A data error
// when a step is over kMostTrainingSteps.
void add_events(const tensor::io::EventLog& events, const std::string& name, TrainingLog& log);

}  // namespace imgcap
