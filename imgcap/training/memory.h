// How much memory a run takes, before it takes it.
#pragma once

#include <cstdint>

#include "imgcap/models/decoder_config.h"
#include "imgcap/training/train_options.h"

namespace imgcap {

// About how many bytes of a device a run needs: weights with all that is kept for each of them, and what a step of photos
// with five captions of 30 words keeps for its backward pass (`samples` and `max_tokens` where these say otherwise), or, if
// that is more, what encoding the photos takes before. Rather too much than too little.
int64_t training_bytes(const DecoderConfig& model, const TrainOptions& options);

}  // namespace imgcap
