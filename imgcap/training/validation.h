// What a run validates on, and how.
#pragma once

#include <utility>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "imgcap/training/evaluate.h"
#include "imgcap/training/finetune.h"
#include "imgcap/training/reports.h"
#include "imgcap/training/train_options.h"

namespace imgcap {

class Validation {
 public:
  static constexpr size_t kSamples = 6;  // photos of each set whose captions are reported

  // All references have to outlive it. `encoder`: trained along; then photos are encoded anew each time and
  // `features` is not read. Else it may be null.
  Validation(const TrainOptions& options, const Dataset& photos, const FeatureCache& features,
             Vocabulary vocabulary, TrainedEncoder* encoder);

  // These features in place of the constructor's, in turn by epoch. They have to outlive it, too.
  void take_turns(std::vector<const FeatureCache*> views) { views_ = std::move(views); }

  // Loss and scores of the decoder, which is left in evaluation mode, in an epoch, counted from 0: of each set,
  // and their means.
  ValidationReport operator()(Decoder& decoder, int64_t epoch) const;

 private:
  SetValidation validate(Decoder& decoder, Dataset data, int64_t epoch,
                         std::vector<SampleCaption>& samples) const;

  const TrainOptions& options_;
  std::vector<Dataset::Set> sets_;
  std::vector<Dataset> parts_;
  const FeatureCache& features_;
  Vocabulary vocabulary_;
  TrainedEncoder* encoder_;
  std::vector<const FeatureCache*> views_;
};

}  // namespace imgcap
