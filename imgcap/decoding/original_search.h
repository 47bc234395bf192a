// The search of the original program, for results that can be compared with what it published.
#pragma once

#include "imgcap/decoding/beam_search.h"

namespace imgcap {

// The captions of each image, the best first; never none, at most nbest. features (m, p, d) -> m lists. Every
// token may be produced, the score of a caption is its log-probability, and there are 100 steps. A finished
// hypothesis keeps its place among the `beam` for one step and is counted in the next; the image is done when
// `beam` are counted, and what is open or not yet counted then is lost, unless there is nothing else.
// Hypothesis::ids are what the original prints: of the plain model without the <sos> that it is given here,
// as it has to emit it itself.
//
// Of the options beam, nbest and attention are read. Errors as beam_search, and kind argument for rules.
std::vector<std::vector<Hypothesis>> original_search(Decoder& decoder, const Tensor& features,
                                                     const BeamOptions& options = {},
                                                     const SearchWatch& watch = {});

}  // namespace imgcap
