// --precision of verbs that encode photos.
#pragma once

#include "imgcap/cli/cli.h"
#include "imgcap/training/encode.h"
#include "imgcap/training/train_options.h"

namespace imgcap::cli {

void add_encoder_precision(Verb& verb, Precision& precision);

// Sets a frozen encoder's arithmetic; says on stderr which one it is, where it is not f32. Where one is asked for
// by name (`given`), a cache of another is refused, else it is followed.
EncodeOptions set_encoder_precision(const LoadedEncoder& encoder, Precision precision, bool given);

}  // namespace imgcap::cli
