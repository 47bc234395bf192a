#include "imgcap/decoding/rule_texts.h"

#include "tensor/error.h"

namespace imgcap {

using tensor::about_file;
using tensor::format;

CaptionRules rules_of(const RuleTexts& texts, const Vocabulary& vocabulary, const std::string& language,
                      int64_t max_words, const char* op, const RuleNames& names,
                      std::vector<std::string>& notes) {
  CaptionRules rules;
  rules.no_repeat_ngram = texts.no_repeat_ngram;
  rules.min_words = texts.min_words;
  for (const std::string& text : texts.suppress)
    for (const std::string& word : about_file(format("{}: {}", op, names.suppress),
                                              [&] { return suppressed_words(text, vocabulary, language); })) {
      rules.suppressed.push_back(word);
      if (!vocabulary.contains(" " + word, language))
        notes.push_back(
            format("{}: the model's vocabulary has no word \"{}\"{}{}", names.suppress, word,
                   language.empty() ? "" : " in " + language,
                   vocabulary.has_character_fallback(language) ? "; it is not spelled out either" : ""));
    }
  rules.prefix = about_file(format("{}: {}", op, names.prefix),
                            [&] { return prefix_tokens(texts.prefix, vocabulary, language); });
  if (rules.given()) rules.tokens = vocabulary.tokens();
  validate(rules, vocabulary.size(), max_words, op);
  return rules;
}

}  // namespace imgcap
