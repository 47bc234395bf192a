#include <algorithm>
#include <cstdio>
#include <memory>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/language_options.h"
#include "imgcap/cli/photos.h"
#include "imgcap/cli/set_files.h"
#include "imgcap/data/captions.h"
#include "imgcap/data/utf8.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/training/checkpoint.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

struct Options {
  std::vector<std::string> captions;
  std::string out, file, language;
  VocabularyOptions build;
  bool no_characters = false;
};

// The captions of all files by language, in the files' order; sets mean nothing here.
std::vector<LanguageCaptions> captions_by_language(const Options& o) {
  std::vector<LanguageCaptions> all;
  for (const SetFile& file : parse_set_files(o.captions, Before::set_and_language)) {
    const std::string& code = file.language.empty() ? o.language : file.language;
    auto own = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.language == code; });
    if (own == all.end()) own = all.insert(own, {code, default_rules(code), {}});
    CaptionFile read = read_captions(file.file);
    if (read.report.skipped > 0) std::fprintf(stderr, "%s\n", printable(read.report.summary()).c_str());
    for (Caption& caption : read.captions) own->captions.push_back(std::move(caption.text));
  }
  const bool mixed =
      std::any_of(all.begin(), all.end(), [](const auto& each) { return each.language.empty(); });
  tensor::check(
      !mixed || all.size() == 1, tensor::ErrorKind::argument,
      "vocab build: some of --captions name a language, and others none: write LANG:FILE, or --lang LANG "
      "for all that name none");
  return all;
}

void build(const Options& o) {
  expect_language_code(o.language, "vocab build");
  const std::vector<LanguageCaptions> captions = captions_by_language(o);
  size_t count = 0;
  for (const LanguageCaptions& each : captions) count += each.captions.size();
  VocabularyOptions options = o.build;
  options.character_fallback = !o.no_characters;
  const Vocabulary vocabulary = Vocabulary::of_languages(captions, options);
  vocabulary.save(o.out);
  print(tensor::format("{}: {} tokens of {} captions{}\n", o.out, vocabulary.size(), count,
                       vocabulary.has_languages() ? ": " + describe_languages(vocabulary) : ""));
}

void show(const std::string& file) {
  const Vocabulary vocabulary = std::filesystem::path(file).extension() == ".safetensors"
                                    ? load_checkpoint(file).make_vocabulary()
                                    : Vocabulary::load(file);
  std::string text;
  for (int64_t id = 0; id < vocabulary.size(); ++id)
    text += tensor::format("{}\t{}\n", id, tensor::io::Json(vocabulary.token(id)).dump());
  print(text);
}

}  // namespace

void add_vocab(Verb& app, Program& program) {
  Verb verb = app.verb("vocab", "Build a vocabulary, or show one");
  verb.require_verb();
  const auto o = std::make_shared<Options>();
  Verb builder = add_verb(verb, program, "build", "Make a vocabulary from captions");
  builder
      .option(
          "--captions", o->captions,
          "Caption files, in any of the formats (see imgcap data); LANG:FILE (en, ar, ...) for one of several "
          "languages")
      .required();
  builder.option("--lang", o->language,
                 "The language of captions that name none, two letters (default: none)");
  builder.option("--out", o->out, "The vocabulary to write: a JSON string per line").required();
  builder
      .option("--max-words", o->build.max_words,
              "Most words of a language, the frequent ones first (0: no limit)")
      .not_negative();
  builder.option("--min-frequency", o->build.min_frequency, "Rarer words are left out").not_negative();
  builder.flag("--no-characters", o->no_characters, "No letters to spell unknown words with");
  builder.on_run([o] { build(*o); });
  Verb shower = add_verb(verb, program, "show", "Print a vocabulary: number, tab, token as JSON");
  shower.option("file", o->file, "A vocabulary or a checkpoint").required();
  shower.on_run([o] { show(o->file); });
}

}  // namespace imgcap::cli
