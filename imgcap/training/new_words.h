// A trained model that goes on with other captions, whose words it may lack.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "imgcap/training/checkpoint.h"

namespace imgcap {

// Adds to the model's vocabulary the words that stand in the captions at least `min_frequency` times and that it lacks,
// behind its own of that language, the most frequent first; and to embedding and vocabulary layer, weights and bias, a
// row for each. A new row is the mean of the language's rows (Hewitt 2021, "Initializing New Word Embeddings for
// Pretrained Language Models"): a new word begins as one of average likelihood, and the model's captions stay what they
// were. The model's text rules count. Returns the words. Errors: argument (a negative frequency; a language that the
// model lacks or that is there twice), data (no captions; a model without words).
std::vector<std::string> add_words(Checkpoint& model, std::span<const LanguageCaptions> captions,
                                   int64_t min_frequency);

}  // namespace imgcap
