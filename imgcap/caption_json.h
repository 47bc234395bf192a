// Captions as JSON, as the command line and the service give them.
#pragma once

#include "imgcap/captioner.h"
#include "tensor/io/json.h"

namespace imgcap {

// Adds "caption", "log_probability", "confidence" where there is one, and "words": each with its "word",
// "probability" and, where there is one, "confidence".
void add_to(tensor::io::Json& json, const PhotoCaption& caption);

}  // namespace imgcap
