#include "imgcap/cli/rule_options.h"

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/cli.h"
#include "tensor/error.h"
#include "tensor/format.h"

namespace imgcap::cli {

using tensor::format;

void add_rule_options(Verb& verb, RuleOptions& options) {
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

CaptionRules rules_of(const RuleOptions& options, const Vocabulary& vocabulary, const std::string& language,
                      int64_t max_words, SearchKind kind, const char* verb) {
  CaptionRules rules;
  rules.no_repeat_ngram = options.no_repeat_ngram;
  rules.min_words = options.min_words;
  std::vector<std::string> notes;
  for (const std::string& text : options.suppress)
    for (const std::string& word : tensor::about_file(
             format("{}: --suppress", verb), [&] { return suppressed_words(text, vocabulary, language); })) {
      rules.suppressed.push_back(word);
      if (!vocabulary.contains(" " + word, language))
        notes.push_back(
            format("--suppress: the model's vocabulary has no word \"{}\"{}{}", word,
                   language.empty() ? "" : " in " + language,
                   vocabulary.has_character_fallback(language) ? "; it is not spelled out either" : ""));
    }
  rules.prefix = tensor::about_file(format("{}: --prefix", verb),
                                    [&] { return prefix_tokens(options.prefix, vocabulary, language); });
  expect_keeps(rules, kind, verb);
  if (rules.given()) rules.tokens = vocabulary.tokens();
  validate(rules, vocabulary.size(), max_words, verb);
  say(notes);
  return rules;
}

std::string describe(const RuleOptions& options) {
  std::vector<std::string> rules;
  if (options.no_repeat_ngram > 0) rules.push_back(format("no n-gram of {} twice", options.no_repeat_ngram));
  if (options.min_words > 0) rules.push_back(format("at least {} words", options.min_words));
  if (!options.suppress.empty()) rules.push_back(format("never \"{}\"", tensor::join(options.suppress, " ")));
  if (!options.prefix.empty()) rules.push_back(format("each begins with \"{}\"", options.prefix));
  return rules.empty() ? "" : format(" Captions keep rules: {}.", tensor::join(rules, ", "));
}

}  // namespace imgcap::cli
