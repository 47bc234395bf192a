// The original ImgCap program's ways, for --compat and for results in its protocol.
#pragma once

#include <functional>

#include "imgcap/models/decoder_config.h"
#include "imgcap/training/train_options.h"

namespace imgcap {

// The search whose captions a protocol scores.
SearchKind search_of(Protocol protocol);

// A run as the original's: what it does in place of the settings that are not given.
void set_original_defaults(TrainOptions& train, DecoderKind kind,
                           const std::function<bool(const char*)>& given);

}  // namespace imgcap
