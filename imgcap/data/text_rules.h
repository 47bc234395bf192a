// How text becomes words: which tokeniser, and what is made equal before it.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace imgcap {

// spacy:   tokenize_spacy(): English; punctuation is tokens.
// unicode: whole words by Unicode's general categories. A word is a longest run of letters, marks and numbers (L, M, N)
//          with a letter or a number in it, lower-cased as lower_case_utf8() does. All else parts words and is no
//          token, in training and in scores alike: so punctuation is none (published scores of Arabic captions are
//          of words only). Format characters (Cf) neither part words nor are in them, but for the joiners U+200C and
//          U+200D between two characters of a word, which stay, as Persian spells with them; U+200B, which is made for
//          parting words, does. Languages without blanks between words are not split.
enum class Tokenizer { spacy, unicode };
constexpr std::array<const char*, 2> names_of(Tokenizer) { return {"spacy", "unicode"}; }

// What is written in several ways and read as one, in Arabic script. Each is off by default; default_rules() says what
// a language has.
struct Normalisation {
  bool alef =
      false;  // alef with madda or hamza, and the wasla (U+0622, U+0623, U+0625, U+0671), as alef U+0627
  bool ya = false;  // alef maqsura U+0649 and the Farsi ya U+06CC, which looks like either, as ya U+064A
  bool ta_marbuta = false;  // U+0629 as ha U+0647
  bool tatweel = false;     // U+0640, which only stretches a word, is removed
  // Removed are the marks (Mn) of the Arabic blocks: the vowel signs, shadda and sukun U+064B..U+0652, the superscript
  // alef U+0670, madda and hamza U+0653..U+0655 that no letter takes up, and the Quran's, the small waw and ya U+06E5 and
  // U+06E6 included: captions leave all of them out but for an odd one.
  bool diacritics = false;

  bool any() const { return *this != Normalisation(); }
  bool operator==(const Normalisation&) const = default;
};

struct TextRules : Normalisation {
  Tokenizer tokenizer = Tokenizer::spacy;

  bool operator==(const TextRules&) const = default;
};

// For a language by its code. "en" and "": spaCy, nothing normalised. Any other: unicode. "ar": with all five
// normalisations, as in ElJundi et al. 2020 (Resources and End-to-End Neural Network Models for Arabic Image Captioning)
// and, but for tatweel, in Larkey, Ballesteros and Connell 2002 (Improving Stemming for Arabic Information Retrieval):
// writers use these forms one for the other, and set few diacritics.
TextRules default_rules(std::string_view language);

// "unicode words; alef, ya, ta marbuta, tatweel, diacritics", "spaCy tokens"
std::string describe(const TextRules& rules);
std::string describe(const Normalisation& what);  // "alef, tatweel"; empty where nothing is normalised

// UTF-8 text in NFKC, then what `what` says. NFKC makes one of what Unicode can encode in two ways: a letter and its
// mark, Arabic letters as presentation forms (U+FB50..U+FDFF, U+FE70..U+FEFF, ligatures become their letters). Nothing
// normalised: the text as it is. Malformed UTF-8 becomes U+FFFD. Linear time but for sorting runs of marks; safe to call
// from several threads.
std::string normalised(std::string_view utf8_text, const Normalisation& what);

// The tokens of one line of UTF-8 text, in NFKC for the unicode tokeniser or where anything is normalised. Malformed
// UTF-8 is read as U+FFFD. Time and threads as above.
std::vector<std::string> tokenize(std::string_view utf8_line, const TextRules& rules);

}  // namespace imgcap
