// Searches whose hypotheses stay on the decoder's device from step to step: the host only hears, one step later, which
// images are done, and reads all captions at the end. They find what the searches of search_steps.h find.
#pragma once

#include <vector>

#include "imgcap/decoding/sampling.h"
#include "imgcap/decoding/search_steps.h"

namespace imgcap::internal {

// Not the CPU's, where nothing is gained, no search that needs the words of each step on the host (for rules, or for
// somebody who looks on), and no wide beam, whose steps one thread per image would not end.
bool stays_on_device(const Decoder& decoder, const DecodingOptions& options, const SearchWatch& watch,
                     int64_t beam = 1);

struct EndedBeams {
  std::vector<Beam> finished, unfinished;
};

// One for each image. `search` has run no step yet; the hypotheses become nodes of it.
std::vector<EndedBeams> beams_on_device(Search& search, int64_t images, const BeamOptions& options,
                                        const SearchWatch& watch);

// options.samples captions of each image, an image's side by side.
std::vector<Beam> samples_on_device(Search& search, const SamplingOptions& options,
                                    const std::vector<tensor::Generator*>& generators,
                                    const SearchWatch& watch);

}  // namespace imgcap::internal
