#include "imgcap/cli/rule_options.h"

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/cli.h"
#include "tensor/format.h"

namespace imgcap::cli {

using tensor::format;

void add_rule_options(Verb& verb, RuleTexts& options) {
  verb.option("--no-repeat-ngram", options.no_repeat_ngram,
              "No N words follow each other twice in a caption (0: they may)")
      .range(0, 1000);
  verb.option("--min-words", options.min_words, "Shortest caption, in words of its text (a full stop is one)")
      .range(0, 1000);
  verb.option("--suppress", options.suppress,
              "A word that no caption has, or several in quotes; once or more often")
      .one_a_use();
  verb.option("--prefix", options.prefix, "The words that every caption begins with, in quotes");
}

CaptionRules rules_of(const RuleTexts& texts, const Vocabulary& vocabulary, const std::string& language,
                      int64_t max_words, SearchKind kind, const char* verb) {
  std::vector<std::string> notes;
  CaptionRules rules =
      rules_of(texts, vocabulary, language, max_words, verb, {"--suppress", "--prefix"}, notes);
  expect_keeps(rules, kind, verb);
  say(notes);
  return rules;
}

std::string describe(const RuleTexts& options) {
  std::vector<std::string> rules;
  if (options.no_repeat_ngram > 0) rules.push_back(format("no n-gram of {} twice", options.no_repeat_ngram));
  if (options.min_words > 0) rules.push_back(format("at least {} words", options.min_words));
  if (!options.suppress.empty()) rules.push_back(format("never \"{}\"", tensor::join(options.suppress, " ")));
  if (!options.prefix.empty()) rules.push_back(format("each begins with \"{}\"", options.prefix));
  return rules.empty() ? "" : format(" Captions keep rules: {}.", tensor::join(rules, ", "));
}

}  // namespace imgcap::cli
