// How text becomes words, as options of the verbs that score or split it.
#pragma once

#include <optional>

#include "imgcap/cli/verb.h"
#include "imgcap/metrics/scores.h"

namespace imgcap::cli {

// The words that scores compare.
struct ScoreWords {
  std::optional<ScoreTokenizer> tokenizer;
  Normalisation normalisation;
};

// --tokenizer and what add_normalisation() adds.
void add_score_words(Verb& verb, ScoreWords& words);

// --normalise and a flag for each normalisation, which counts more.
void add_normalisation(Verb& verb, Normalisation& normalisation);

}  // namespace imgcap::cli
