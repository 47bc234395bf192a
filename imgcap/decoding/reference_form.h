// References in the form that captions have, where they are compared.
#pragma once

#include <string>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/caption_search.h"

namespace imgcap {

// A reference as it is, or as the vocabulary's tokens.
std::string in_form(const std::string& text, const Vocabulary& vocabulary, TextForm form);

}  // namespace imgcap
