// The original program's checkpoints (checkpoint_epoch_N.pth) as models of this one.
#pragma once

#include <string>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "imgcap/training/checkpoint.h"
#include "imgcap/training/weights_file.h"

namespace imgcap {

// Both of its models: lstm.* is the decoder (the attention one where it has lstm.attention), cnn.ResNet50.*
// the encoder, whose fc of the plain model is our decoder's head. Sizes come from the weights; "_orig_mod."
// and the dictionary's "model_state_dict." are taken off. The optimiser's state and the copies of the
// encoder's weights in cnn.features are left out. Without an encoder, the result has none of its own.
// `remarks` gets what was left out. Values need not be finite. A data error names `origin` and what is
// missing or does not fit.
Checkpoint original_checkpoint(WeightsFile file, const Vocabulary& vocabulary, const std::string& origin,
                               std::vector<std::string>& remarks);

}  // namespace imgcap
