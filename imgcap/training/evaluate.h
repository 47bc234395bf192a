// Captions of a data set's photos, and their scores.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/caption_search.h"
#include "imgcap/metrics/scores.h"
#include "imgcap/models/decoder.h"
#include "imgcap/training/confidence.h"
#include "imgcap/training/dataset.h"

namespace imgcap {

struct SearchOptions {
  int64_t beam = 3;
  int64_t max_words = 30;
  double length_exponent = 1;
  int64_t batch_photos = 32;
  SearchKind kind = SearchKind::standard;
  bool operator==(const SearchOptions&) const = default;
};

// Photo -> its best caption.
std::map<std::string, Hypothesis> search_photos(Decoder& decoder, const Dataset& data,
                                                const FeatureCache& features, const SearchOptions& options,
                                                const CaptionRules& rules = {});
// The same as text.
std::map<std::string, std::string> caption_photos(Decoder& decoder, const Dataset& data,
                                                  const FeatureCache& features, const Vocabulary& vocabulary,
                                                  const SearchOptions& options,
                                                  const CaptionRules& rules = {});

// The captions that those of caption_photos are scored against: as in the file, or as the vocabulary's
// tokens.
References scored_references(const Dataset& data, const Vocabulary& vocabulary, TextForm form);

struct Evaluation {
  std::map<std::string, std::string> captions;  // as caption_photos gives them
  Scores scores;
  std::vector<JudgedCaption> judged;  // of the standard protocol: the captions one by one, by name
};

// Captions of all photos of the data set, scored against its references in the same form.
Evaluation evaluate(Decoder& decoder, const Dataset& data, const FeatureCache& features,
                    const Vocabulary& vocabulary, const SearchOptions& search, const ScoreOptions& options,
                    const CaptionRules& rules = {});

// Mean loss per token in evaluation mode, with the captions' own words fed: with teacher forcing below 1 by
// coins of `seed`. count_start: LossOptions.
double mean_loss(Decoder& decoder, const Dataset& data, const FeatureCache& features,
                 double teacher_forcing = 1, bool count_start = false, uint64_t seed = 0);

}  // namespace imgcap
