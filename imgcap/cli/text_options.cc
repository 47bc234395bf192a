#include "imgcap/cli/text_options.h"

#include "imgcap/cli/settings.h"
#include "imgcap/data/text_settings.h"
#include "tensor/format.h"

namespace imgcap::cli {
namespace {

enum class Script { none, arabic };
constexpr std::array<const char*, 2> names_of(Script) { return {"none", "arabic"}; }

constexpr const char* kNormalise = "--normalise";

}  // namespace

ScoreOptions ScoreWords::with_own(const TextRules& language, ScoreOptions options) const {
  if (tokenizer && *tokenizer != ScoreTokenizer::unicode) return options;
  options = with_words_of(language, options);
  if (given(kNormalise) || normalisation.any())
    options.normalisation = normalisation;
  else
    for_each_setting(options.normalisation, [&](const Row& row, bool& is_on) {
      if (given(row.flag)) is_on = false;
    });
  return options;
}

void add_score_words(Verb& verb, ScoreWords& words, DefaultWords by_default) {
  words.given = [verb](const char* flag) { return verb.given(flag); };
  verb.option(
          "--tokenizer", "",
          [&words](const std::string& name) { words.tokenizer = value_named<ScoreTokenizer>(name); },
          tensor::format(
              "ptb, none, or unicode: whole words of any language, without punctuation (default: {}; "
              "with the {} protocol none)",
              by_default == DefaultWords::of_language ? "the language's words, of English ptb" : "ptb",
              to_string(Protocol::torcheval)))
      .one_of(all_names<ScoreTokenizer>());
  add_normalisation(verb, words.normalisation, by_default);
}

void add_normalisation(Verb& verb, Normalisation& normalisation, DefaultWords by_default) {
  const bool of_language = by_default == DefaultWords::of_language;
  // Options take effect in the order in which they are added, so single ones stand behind the one for all.
  verb.option(
          kNormalise, of_language ? "" : to_string(Script::none),
          [&normalisation](const std::string& name) {
            normalisation =
                *value_named<Script>(name) == Script::arabic ? default_rules("ar") : Normalisation();
          },
          tensor::format("arabic: all of the following; =false behind one of them: but that{}",
                         of_language ? " (default: the language's own)" : ""))
      .one_of(all_names<Script>());
  add_settings(verb, normalisation);
}

}  // namespace imgcap::cli
