// The settings of a search, for the table of whichever struct has them.
#pragma once

#include "imgcap/decoding/beam_search.h"
#include "imgcap/settings/setting.h"

namespace imgcap {

template <class S>
inline constexpr Setting<S, int64_t> kBeam{"beam", "--beam", &S::beam, between(1, 1000), "Beam width"};
template <class S>
inline constexpr Setting<S, int64_t> kMaxWords{"max_words", "--max-words", &S::max_words, between(1, 100'000),
                                               "Longest caption"};
template <class S>
inline constexpr Setting<S, double> kLengthExponent{"length_exponent", "--length-exponent",
                                                    &S::length_exponent, not_negative(),
                                                    "Log-probability is divided by length to this power"};

template <class S>
inline constexpr auto kSearchSettings = Table{"search", {}, kBeam<S>, kMaxWords<S>, kLengthExponent<S>};

template <>
inline constexpr auto kSettings<BeamOptions> =
    Table{"search",
          {},
          kBeam<BeamOptions>,
          Setting{"nbest", "--nbest", &BeamOptions::nbest, between(1, 1000),
                  "Captions per photo, at most --beam (with --sample: any number)"},
          kMaxWords<BeamOptions>.with_help("Longest caption, in tokens (a leading blank is one)"),
          kLengthExponent<BeamOptions>};

}  // namespace imgcap
