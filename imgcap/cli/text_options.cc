#include "imgcap/cli/text_options.h"

#include "imgcap/cli/settings.h"
#include "imgcap/data/text_settings.h"
#include "tensor/format.h"

namespace imgcap::cli {
namespace {

enum class Script { none, arabic };
constexpr std::array<const char*, 2> names_of(Script) { return {"none", "arabic"}; }

}  // namespace

void add_score_words(Verb& verb, ScoreWords& words) {
  verb.option(
          "--tokenizer", "",
          [&words](const std::string& name) { words.tokenizer = value_named<ScoreTokenizer>(name); },
          tensor::format(
              "ptb, none, or unicode: whole words of any language, without punctuation (default: ptb; "
              "with the {} protocol none)",
              to_string(Protocol::torcheval)))
      .one_of(all_names<ScoreTokenizer>());
  add_normalisation(verb, words.normalisation);
}

void add_normalisation(Verb& verb, Normalisation& normalisation) {
  // Options take effect in the order in which they are added, so single ones stand behind the one for all.
  add_choice<Script>(
      verb, "--normalise", Script::none,
      [&normalisation](Script script) {
        normalisation = script == Script::arabic ? default_rules("ar") : Normalisation();
      },
      "arabic: all of the following; =false behind one of them: but that");
  add_settings(verb, normalisation);
}

}  // namespace imgcap::cli
