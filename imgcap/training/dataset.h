// Captions as numbers, grouped by photo, and batches of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "imgcap/data/captions.h"
#include "imgcap/data/feature_cache.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/models/decoder.h"
#include "tensor/random.h"

namespace imgcap {

// Photos with their features' row and their captions: encoded for training, as text for scores.
struct Dataset {
  // One of several that are trained or validated together.
  struct Set {
    std::string name;
    double weight = 1;    // of the loss of its captions
    std::string split{};  // as the whole has one, and so the next
    Language language{};
  };
  struct Photo {
    std::string name;
    int64_t row = 0;                            // of the feature cache
    std::vector<std::string> captions;          // as in the file
    std::vector<std::vector<int32_t>> encoded;  // with <sos>, or the language's token, and <eos>
    size_t set = 0;                             // which of `sets`
  };
  std::vector<Photo> photos;
  std::vector<Set> sets;                      // empty: there is one alone
  std::string split;                          // where they come from, for what is printed: "val.txt"
  Language language;                          // of the captions; of several sets each has its own
  std::vector<std::string> without_captions;  // named photos that are left out for that

  int64_t caption_count() const;
  double weight_of(int64_t photo) const;  // its set's
  const Language& language_of(int64_t photo) const;
  std::map<std::string, std::vector<std::string>> references() const;  // by photo
  // Of the photos' names and captions, in their order. The text counts: self-critical training goes by it.
  std::string fingerprint() const;
};

// The photos of `names` that have both captions and features, in that order; captions from several files are
// put together, a file after the other. `max_tokens` cuts longer captions (<eos> stays; 0: no limit). `language`:
// the captions', by its code in the vocabulary. Errors: data (no photo is left, the first missing name is in the
// message; two names, or two of one caption file, mean one photo, or a name means two: photo_names.h), argument
// (Vocabulary::language).
Dataset make_dataset(const std::vector<CaptionsByPhoto>& captions, const std::vector<std::string>& names,
                     const FeatureCache& features, const Vocabulary& vocabulary, int64_t max_tokens = 0,
                     std::string_view language = {});

// Data sets, which have no sets themselves, as one with these, photos one after the other. A photo may be in
// several. One part without a name stays as it is.
Dataset join_sets(std::vector<Dataset> parts, const std::vector<Dataset::Set>& sets);

// A joined data set's parts as they were; any other is its only part.
std::vector<Dataset> parts_of(const Dataset& data);

// Without the photos that have fewer captions. Errors: data (none is left, of a set neither).
Dataset with_captions(int64_t least, Dataset data);

// The same data set with the rows that its photos have in another cache. Errors: data (it lacks one).
Dataset with_rows_of(const FeatureCache& features, Dataset data);

// Whole photos with all their captions, each of its set's weight; rows sorted by falling length (equal lengths keep their
// order).
// Without features: for an encoder that is trained, too.
CaptionBatch make_batch(const Dataset& data, const std::vector<int64_t>& photos, const Device& device = {});

// The same with features.
CaptionBatch make_batch(const Dataset& data, const std::vector<int64_t>& photos, const FeatureCache& features,
                        const FeaturesAs& as = {});

// The same with views: in each epoch a photo comes from another one of `views`, in turn.
CaptionBatch make_batch(const Dataset& data, const std::vector<int64_t>& photos,
                        const std::vector<const FeatureCache*>& views, int64_t epoch,
                        const FeaturesAs& as = {});

// Photo numbers of each batch of an epoch: shuffled by (seed, epoch) alone, so a resumed run sees the same
// order. The last batch may be smaller.
std::vector<std::vector<int64_t>> epoch_batches(int64_t photos, int64_t batch_photos, uint64_t seed,
                                                int64_t epoch);

}  // namespace imgcap
