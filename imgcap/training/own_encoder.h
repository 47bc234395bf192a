// The encoder of a checkpoint whose encoder has been trained: its weights may be stored without those that are the
// ones of the encoder that its training began with, most often the one in the box.
#pragma once

#include <filesystem>
#include <string>

#include "imgcap/training/checkpoint.h"
#include "imgcap/training/encode.h"

namespace imgcap {

// Leaves out of `checkpoint.encoder_weights` those that the file `base` has with the same bits. Returns how many are
// left. Errors: io, data (`base` is not the encoder that the training began with; `name` is the checkpoint's in the
// text).
size_t leave_out_base(Checkpoint& checkpoint, const std::filesystem::path& base, const std::string& name);

// The encoder that `checkpoint`, of the file `name`, has weights of, with its preprocessing; those that were left out
// are read from `base`. Errors: io, data.
LoadedEncoder load_own_encoder(const Checkpoint& checkpoint, const std::filesystem::path& base,
                               const std::string& name, EncoderUse use = EncoderUse::features);

}  // namespace imgcap
