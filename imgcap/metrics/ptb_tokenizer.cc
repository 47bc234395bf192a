#include "imgcap/metrics/ptb_tokenizer.h"

#include "imgcap/data/utf8.h"
#include "imgcap/metrics/ptb_rules.h"

namespace imgcap {
namespace {

using namespace ptb;

// The first of those that saw most makes the token.
constexpr Rule kRules[] = {
    tag,         declaration,   url,           www,          host,         mail,    user_name, hash_tag,
    fused,       before_clitic, letter_at_end, word,         abbreviation, acronym, file_name, elision,
    slang,       clitic,        decade,        joined,       listed,       slashed, capitals,  before_period,
    programming, dollars,       date,          fraction,     number,       phone,   smiley,    kaomoji,
    ellipsis,    bracket_name,  code_entity,   run_of_signs, two_quotes,   sign};

Match longest_match(Text& text, size_t at) {
  Match best;
  for (const Rule rule : kRules)
    if (const Match match = rule(text, at); match.end > at && match.seen > best.seen) best = match;
  return best;
}

std::string written(const Text& text, size_t at, const Match& match) {
  std::u32string token;
  for (const char32_t c : text.part(at, match.end)) append_written(token, c, match.written);
  return lower_case_utf8(token);
}

}  // namespace

std::vector<std::string> tokenize_ptb(std::string_view caption, std::string_view following) {
  std::u32string characters = read_characters(caption);
  const size_t end = characters.size();
  characters += U'\n';
  characters += read_characters(following);
  characters += U'\n';
  Text text(std::move(characters));
  std::vector<std::string> words;
  for (size_t at = 0; at < end;) {
    const Match match = text.space(at) ? Match{} : longest_match(text, at);
    if (match.end == 0) {
      ++at;
      continue;
    }
    std::string word = written(text, at, match);
    if (!word.empty() && !is_removed(word)) words.push_back(std::move(word));
    at = match.end;
  }
  return words;
}

}  // namespace imgcap
