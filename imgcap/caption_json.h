// Captions as JSON, as the command line and the service give them.
#pragma once

#include "imgcap/explain.h"
#include "tensor/io/json.h"

namespace imgcap {

// Adds "caption", "log_probability", "confidence" where there is one, and "words": each with its "word",
// "probability" and, where there is one, "confidence".
void add_to(tensor::io::Json& json, const PhotoCaption& caption);

// Adds "rows", "columns", "words" and "maps".
void add_to(tensor::io::Json& json, const AttentionMaps& maps);

// Adds "language" where it has a name, "text", "log_probability", "words": each with its "word", "probability" and
// "others", "next", and, where there are maps, "attention": their "kind" and the maps.
void add_to(tensor::io::Json& json, const Explanation& explanation);

}  // namespace imgcap
