#include "imgcap/cli/language_options.h"

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {

std::string language_of(const std::string& lang, const Vocabulary& vocabulary, const std::string& by_default,
                        const char* verb) {
  const std::string& wanted = lang.empty() ? by_default : lang;
  tensor::about_file(verb, [&] { vocabulary.language(wanted); });
  return wanted;
}

std::vector<std::string> languages_of(const std::string& lang, const Vocabulary& vocabulary,
                                      const std::string& by_default, const char* verb) {
  if (lang != "all" || !vocabulary.has_languages()) return {language_of(lang, vocabulary, by_default, verb)};
  std::vector<std::string> all;
  for (const Language& language : vocabulary.languages()) all.push_back(language.code);
  return all;
}

std::string describe_languages(const Vocabulary& vocabulary) {
  std::vector<std::string> all;
  for (const Language& language : vocabulary.languages())
    all.push_back(tensor::format("{} {} words", language.code, vocabulary.words(language)));
  return tensor::join(all, ", ");
}

void expect_language_code(const std::string& lang, const char* verb) {
  tensor::check(lang.empty() || is_language_code(lang), tensor::ErrorKind::argument,
                "{}: --lang {}: a language has two letters a-z, as en", verb, printable(lang));
}

}  // namespace imgcap::cli
