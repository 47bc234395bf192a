// Captions of a data set's photos, and their scores.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/caption_rules.h"
#include "imgcap/metrics/scores.h"
#include "imgcap/models/decoder.h"
#include "imgcap/training/dataset.h"

namespace imgcap {

struct SearchOptions {
  int64_t beam = 3;
  int64_t max_words = 30;
  double length_exponent = 1;
  int64_t batch_photos = 32;
  bool compat_original = false;  // the original's search and its strings with <sos> and <eos>
  bool operator==(const SearchOptions&) const = default;
};

// Photo -> its best caption, as text.
std::map<std::string, std::string> caption_photos(Decoder& decoder, const Dataset& data,
                                                  const FeatureCache& features, const Vocabulary& vocabulary,
                                                  const SearchOptions& options,
                                                  const CaptionRules& rules = {});

// The captions that those of caption_photos are scored against: as in the file, or, with `compat_original`,
// encoded and decoded by the original's rules, with <sos> and <eos>.
References scored_references(const Dataset& data, const Vocabulary& vocabulary, bool compat_original);

struct Evaluation {
  std::map<std::string, std::string> captions;  // as caption_photos gives them
  Scores scores;
};

// Captions of all photos of the data set, scored against its references. With the original protocol the
// search is the original's, too, and the references are what its vocabulary makes of them.
Evaluation evaluate(Decoder& decoder, const Dataset& data, const FeatureCache& features,
                    const Vocabulary& vocabulary, SearchOptions search, const ScoreOptions& options,
                    const CaptionRules& rules = {});

// Mean loss a token with the captions' own words fed, in evaluation mode. With compat_original as the
// original did it: it throws its coins of `teacher_forcing` here, too, so that the loss depends on `seed`.
double mean_loss(Decoder& decoder, const Dataset& data, const FeatureCache& features,
                 bool compat_original = false, double teacher_forcing = 1, uint64_t seed = 0);

}  // namespace imgcap
