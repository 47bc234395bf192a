// The settings of text, for the table of whichever struct has them. On the command line =false after a flag switches it
// off.
#pragma once

#include "imgcap/data/text_rules.h"
#include "imgcap/settings/setting.h"

namespace imgcap {

template <class S>
inline constexpr Setting<S, bool> kAlef{"normalise_alef", "--normalise-alef", &S::alef, anything(),
                                        "Arabic: alef with madda, hamza or wasla becomes alef"};
template <class S>
inline constexpr Setting<S, bool> kYa{"normalise_ya", "--normalise-ya", &S::ya, anything(),
                                      "Arabic: alef maqsura and the Farsi ya become ya"};
template <class S>
inline constexpr Setting<S, bool> kTaMarbuta{"normalise_ta_marbuta", "--normalise-ta-marbuta", &S::ta_marbuta,
                                             anything(), "Arabic: ta marbuta becomes ha"};
template <class S>
inline constexpr Setting<S, bool> kTatweel{"remove_tatweel", "--remove-tatweel", &S::tatweel, anything(),
                                           "Arabic: words are not stretched by tatweel"};
template <class S>
inline constexpr Setting<S, bool> kDiacritics{"remove_diacritics", "--remove-diacritics", &S::diacritics,
                                              anything(), "Arabic: no vowel signs and other marks"};

template <>
inline constexpr auto kSettings<Normalisation> = Table{"text",
                                                       {},
                                                       kAlef<Normalisation>,
                                                       kYa<Normalisation>,
                                                       kTaMarbuta<Normalisation>,
                                                       kTatweel<Normalisation>,
                                                       kDiacritics<Normalisation>};

template <>
inline constexpr auto kSettings<TextRules> =
    Table{"text",
          {},
          Setting{"tokenizer", "--tokenizer", &TextRules::tokenizer, anything(),
                  "spacy (English), or unicode: whole words of any language, without punctuation"},
          kAlef<TextRules>,
          kYa<TextRules>,
          kTaMarbuta<TextRules>,
          kTatweel<TextRules>,
          kDiacritics<TextRules>};

}  // namespace imgcap
