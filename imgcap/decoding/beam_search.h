// Beam searches: the likeliest captions that a width of `beam` finds.
#pragma once

#include <cstdint>
#include <vector>

#include "imgcap/decoding/hypothesis.h"
#include "imgcap/models/decoder.h"

namespace imgcap {

struct BeamOptions : DecodingOptions {
  int64_t beam = 5;   // open hypotheses an image; 1 is greedy()
  int64_t nbest = 1;  // captions per image, at most beam
  bool operator==(const BeamOptions&) const = default;
};

// The captions of each image, the best score first and equals as they were finished; never none, seldom fewer
// than nbest. features (m, p, d) -> m lists. The open hypotheses of all images are one batch; a finished one
// leaves it.
//
// A step continues each open hypothesis with every token and ranks what comes out by log-probability, equals
// by token. An <eos> in the first `beam` ranks finishes a hypothesis, the first `beam` others stay open. An
// image is done with `beam` finished ones, or as soon as no open one can come to a score above the nbest that
// it has. What is open after max_words words fills up the list behind the finished ones.
//
// Errors: argument (beam < 1 or over the vocabulary, nbest < 1 or over beam, max_words < 1, length_exponent <
// 0, a range that the vocabulary does not have, a decoder in training mode, another kind of search), shape
// (features of another rank), data (the decoder gives NaN).
std::vector<std::vector<Hypothesis>> beam_search(Decoder& decoder, const Tensor& features,
                                                 const BeamOptions& options = {},
                                                 const SearchWatch& watch = {});

// The captions of each image, the best first; never none, at most nbest. features (m, p, d) -> m lists. Every
// token may be produced, the score of a caption is its log-probability, and there are 100 steps. A finished
// hypothesis keeps its place among the `beam` for one step and is counted in the next; the image is done when
// `beam` are counted, and what is open or not yet counted then is lost, unless there is nothing else. The
// plain model is given no <sos> and has to emit it itself, so its Hypothesis::ids are without the one that
// they begin with elsewhere. For results that can be compared with those of programs that search so.
//
// Of the options beam, nbest and attention are read. Errors as beam_search, and kind argument for rules and
// for a range of words.
std::vector<std::vector<Hypothesis>> hundred_steps_search(Decoder& decoder, const Tensor& features,
                                                          const BeamOptions& options = {},
                                                          const SearchWatch& watch = {});

}  // namespace imgcap
