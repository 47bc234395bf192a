// What captions may say, as options of the verbs that search.
#pragma once

#include <string>
#include <vector>

#include "imgcap/cli/verb.h"
#include "imgcap/decoding/hypothesis.h"
#include "imgcap/decoding/rule_texts.h"

namespace imgcap::cli {

// --no-repeat-ngram, --min-words, --suppress and --prefix.
void add_rule_options(Verb& verb, RuleTexts& options);

// They for a model's vocabulary, in one of its languages. A suppressed word that it lacks is told on stderr. Errors,
// which begin with the verb's name: argument (what the vocabulary cannot say, what does not fit together, any rule
// at all where the search keeps none).
CaptionRules rules_of(const RuleTexts& options, const Vocabulary& vocabulary, const std::string& language,
                      int64_t max_words, SearchKind kind, const char* verb);

// As a sentence with a blank before it; empty without rules.
std::string describe(const RuleTexts& options);

}  // namespace imgcap::cli
