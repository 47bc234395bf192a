// The rules of captions as people give them: numbers and texts, which a vocabulary makes into CaptionRules.
#pragma once

#include <string>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/caption_rules.h"

namespace imgcap {

struct RuleTexts {
  int64_t no_repeat_ngram = 0, min_words = 0;
  std::vector<std::string> suppress;  // a word each, or several with blanks between them
  std::string prefix;
};

// What errors and notes call the two texts: "--suppress" on a command line.
struct RuleNames {
  const char *suppress = "suppress", *prefix = "prefix";
};

// They for a vocabulary, in one of its languages. A suppressed word that it lacks is no error but a note. Errors,
// which begin with `op`: argument (what the vocabulary cannot say, what does not fit together).
CaptionRules rules_of(const RuleTexts& texts, const Vocabulary& vocabulary, const std::string& language,
                      int64_t max_words, const char* op, const RuleNames& names,
                      std::vector<std::string>& notes);

}  // namespace imgcap
