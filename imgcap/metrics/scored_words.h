// The words of a text that scores compare.
#pragma once

#include <string>
#include <string_view>

#include "imgcap/data/text_rules.h"

namespace imgcap {

// Separated by single blanks. `tokenizer` is one of Scores::tokenizer. Each text is tokenised on its own: its words do
// not depend on what stands beside it.
std::string scored_words(std::string_view text, const std::string& tokenizer,
                         const Normalisation& normalisation = {});

}  // namespace imgcap
