#include "imgcap/metrics/scored_words.h"

#include "imgcap/data/utf8.h"
#include "imgcap/metrics/ptb_tokenizer.h"
#include "imgcap/metrics/words.h"

namespace imgcap {
namespace {

void append_word(std::string& out, std::string_view word) {
  if (!out.empty()) out += ' ';
  out += word;
}

}  // namespace

std::string scored_words(std::string_view text, const std::string& tokenizer,
                         const Normalisation& normalisation) {
  std::string out;
  if (tokenizer == "unicode") {
    for (const std::string& word : tokenize(text, {normalisation, Tokenizer::unicode}))
      append_word(out, word);
    return out;
  }
  const std::string normal = normalised(text, normalisation);
  if (tokenizer == "ptb") {
    for (const std::string& word : tokenize_ptb(normal)) append_word(out, word);
  } else {
    for (const std::string_view word : split_words(normal))
      append_word(out, tokenizer == "none" ? lower_case_utf8(decode_utf8(word)) : std::string(word));
  }
  return out;
}

}  // namespace imgcap
