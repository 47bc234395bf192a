// Flags that choose several behaviours at once, and what does not go with these.
#pragma once

#include "imgcap/cli/verb.h"
#include "imgcap/decoding/caption_rules.h"
#include "imgcap/training/behaviours.h"
#include "imgcap/training/train_options.h"

namespace imgcap::cli {

void add_train_behaviours(Verb& verb, TrainOptions& options);
void add_caption_behaviours(Verb& verb, Behaviours& behaviours);
void add_eval_behaviours(Verb& verb, Behaviours& behaviours);
void add_score_behaviours(Verb& verb, Protocol& protocol);

// Errors, which begin with the verb's name: argument (a search that draws no words, one that keeps no rules
// where there are some, one that knows no languages where the model has some).
void expect_knows_languages(SearchKind kind, const Vocabulary& vocabulary, const char* verb);
void expect_draws_words(SearchKind kind, const char* verb);
void expect_keeps(const CaptionRules& rules, SearchKind kind, const char* verb);

}  // namespace imgcap::cli
