// --lang of the verbs that have a model.
#pragma once

#include <string>
#include <vector>

#include "imgcap/data/vocabulary.h"

namespace imgcap::cli {

// The language that is asked for: `lang`, or where that is empty the model's default one. Errors, which begin with the
// verb's name: argument (the model lacks it; the text says which it has).
std::string language_of(const std::string& lang, const Vocabulary& vocabulary, const std::string& by_default,
                        const char* verb);

// The same, but for "all", which is each of the model's.
std::vector<std::string> languages_of(const std::string& lang, const Vocabulary& vocabulary,
                                      const std::string& by_default, const char* verb);

// "en 2512 words, ar 3101 words"
std::string describe_languages(const Vocabulary& vocabulary);

// What is no code cannot be the language of captions. Errors as above.
void expect_language_code(const std::string& lang, const char* verb);

}  // namespace imgcap::cli
