// The words that caption papers count: Penn Treebank tokens without punctuation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace imgcap {

// The words of one caption (UTF-8) as pycocoevalcap has them: the tokens of Stanford CoreNLP 3.4.1's
// PTBTokenizer with -preserveLines -lowerCase, less pycocoevalcap's list of punctuation. Written from what
// the tool answers (ptb_rules.h); the rules, in short:
//   - words are lower-cased; spelling stays ("grey", "colour");
//   - "man's" is man 's, "doesn't" does n't, "cannot" can not, "gonna" gon na, "y'all" y' all; "o'clock",
//     "d'oeuvres", "s'mores" and "Hawai'i" stay whole;
//   - words joined by hyphens, underscores or slashes, numbers ("9:20", "10,000") and addresses stay whole;
//   - abbreviations keep their period ("mr.", "u.s.", "j."), and so does any word before a comma or colon;
//   - brackets become -lrb- -rrb- -lsb- -rsb- -lcb- -rcb- and stay (pycocoevalcap's list has them in
//   capitals);
//   - . , : ; ? ! - ... -- and quotes go; other signs ("#", "*", "&", and "!!" or "?!") are words;
//   - a blank inside a tag, a fraction or a telephone number becomes a no-break space: "1\u00A01/2".
// A line break counts as a blank. Malformed UTF-8 and characters that the tool cannot read (emoji, controls)
// are left out. `following` is what comes after the caption's line: the tool reads all captions as one text,
// so that an "art." before a line that begins with a number keeps its period, and "the letter P." before "A
// man" loses it. Without it a caption is on its own, as it is in scores here: they do not depend on the order
// of captions, where pycocoevalcap's do, in about one caption of ten thousand. Not as the tool has it: soft
// hyphens beside signs,
// "&APOS;s" in capitals, telephone numbers in digits of other scripts. Linear time; safe from several
// threads.
std::vector<std::string> tokenize_ptb(std::string_view caption, std::string_view following = {});

}  // namespace imgcap
