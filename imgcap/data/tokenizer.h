// spaCy's English tokeniser (3.8, MIT License, see NOTICE.md): rules only, no statistics.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace imgcap {

// The tokens of one line of UTF-8 text, each lower-cased after the splitting as by Python's str.lower(). A
// single blank between words is no token; any other run of white space is one, so a leading blank gives the
// token " ". Malformed UTF-8 is read as U+FFFD. Linear time; safe to call from several threads.
std::vector<std::string> tokenize_spacy(std::string_view utf8_line);

}  // namespace imgcap
