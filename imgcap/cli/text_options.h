// How text becomes words, as options of the verbs that score or split it.
#pragma once

#include <functional>
#include <optional>

#include "imgcap/cli/verb.h"
#include "imgcap/metrics/scores.h"

namespace imgcap::cli {

// What is scored where no words are asked for: the protocol's, or of captions in some languages (with_words_of()) these.
enum class DefaultWords { of_protocol, of_language };

// The words that scores compare.
struct ScoreWords {
  std::optional<ScoreTokenizer> tokenizer;
  Normalisation normalisation;
  std::function<bool(const char* flag)> given{};  // on the command line

  // The options, which have what is asked for, with the words of a language for what is not. Its normalisation stays
  // with its own tokeniser, without what flags with =false take from it, unless some other is asked for.
  ScoreOptions with_own(const TextRules& language, ScoreOptions options) const;
};

// --tokenizer and what add_normalisation() adds.
void add_score_words(Verb& verb, ScoreWords& words, DefaultWords by_default);

// --normalise and a flag for each normalisation, which counts more.
void add_normalisation(Verb& verb, Normalisation& normalisation,
                       DefaultWords by_default = DefaultWords::of_protocol);

}  // namespace imgcap::cli
