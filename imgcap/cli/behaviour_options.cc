// --compat original and --protocol original: the original program's ways (training/original.cc says which).
#include "imgcap/cli/behaviour_options.h"

#include "imgcap/cli/settings.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

enum class Compat { none, original };
constexpr std::array<const char*, 2> names_of(Compat) { return {"none", "original"}; }

Option add_compat(Verb& verb, const std::function<void(Compat)>& take, const std::string& help) {
  return add_choice<Compat>(verb, "--compat", Compat::none, take, help);
}

// The captions and scores of --compat are those of a protocol.
std::function<void(Compat)> set(Behaviours& behaviours) {
  return [&behaviours](Compat compat) {
    behaviours = behaviours_of(compat == Compat::original ? Protocol::torcheval : Protocol::standard);
  };
}

}  // namespace

void add_train_behaviours(Verb& verb, TrainOptions& options) {
  add_compat(
      verb, [&options](Compat compat) { options.compat_original = compat == Compat::original; },
      "original: do as the original program did. The loss counts the <sos> slot, the vocabulary has "
      "the words of both parts, validation is its greedy search (its beam search with --beam) with "
      "its strings and scores. Where they are not given: no --clip-norm, the plain model's "
      "--teacher-forcing 1, the attention model's --augment original (validation photos, too), "
      "--encoder-mode train, and in place of the lists 90/10 by caption");
}

void add_caption_behaviours(Verb& verb, Behaviours& behaviours) {
  add_compat(verb, set(behaviours),
             "original: as the original's page does, with its search and strings, and red taken for blue");
}

void add_eval_behaviours(Verb& verb, Behaviours& behaviours) {
  const Option protocol = add_choice<Protocol>(
      verb, "--protocol", behaviours.protocol,
      [&behaviours](Protocol given) { behaviours = behaviours_of(given); },
      "standard, or original: its search, strings and scores");
  add_compat(verb, set(behaviours),
             "original: the same as --protocol original, for a run with train's --compat")
      .excludes(protocol);
}

void add_score_behaviours(Verb& verb, Protocol& protocol) {
  add_choice(verb, "--protocol", protocol,
             "standard, or original: the file's scores alone, without --compare, --interval and --per-image");
}

void expect_draws_words(SearchKind kind, const char* verb) {
  tensor::check(kind == SearchKind::standard, tensor::ErrorKind::argument,
                "{}: --sample: the original program draws no words; leave out --compat", verb);
}

void expect_knows_languages(SearchKind kind, const Vocabulary& vocabulary, const char* verb) {
  tensor::check(kind == SearchKind::standard || !vocabulary.has_languages(), tensor::ErrorKind::argument,
                "{}: the original program knows no languages, and the model has some; leave out --compat and "
                "--protocol",
                verb);
}

void expect_keeps(const CaptionRules& rules, SearchKind kind, const char* verb) {
  tensor::check(kind == SearchKind::standard || !rules.given(), tensor::ErrorKind::argument,
                "{}: the original's search has no --no-repeat-ngram, --min-words, --suppress or --prefix; "
                "leave them out",
                verb);
}

}  // namespace imgcap::cli
