// The words that caption papers count: Penn Treebank tokens without punctuation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace imgcap {

// The words of one caption (UTF-8) as pycocoevalcap has them: the tokens of Stanford CoreNLP 3.4.1's
// PTBTokenizer with -preserveLines -lowerCase, less pycocoevalcap's list of punctuation. Written from the
// tokeniser's documented and observed behaviour; the rules, in short:
//   - words are lower-cased; spelling stays ("grey", "colour");
//   - "man's" is man 's, "doesn't" is does n't, "cannot" is can not; "o'clock" and "d'oeuvres" stay whole;
//   - hyphenated words, numbers ("9:20", "10,000"), web addresses and words joined by "/" (written "\/") stay
//   whole;
//   - abbreviations keep their period ("mr.", "u.s."), an initial does before a blank ("John A. Noble");
//   - brackets become -lrb- -rrb- -lsb- -rsb- -lcb- -rcb- and stay (pycocoevalcap's list has them in
//   capitals);
//   - . , : ; ? ! - ... -- and quotes go; other signs ("#", "$", "&", "%", and "!!" or "?!") are words.
// A line break counts as a blank. The end of the text counts as the end of a line: where the official tool
// looks at the line that follows ("art." before a number), this one sees none. Malformed UTF-8 and characters
// that the official tool cannot read (emoji, control characters) are left out. Linear time; safe from several
// threads.
std::vector<std::string> tokenize_ptb(std::string_view caption, std::string_view following = {});

}  // namespace imgcap
