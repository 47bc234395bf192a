// The data sets of a training run: one, or several that have names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "imgcap/cli/training_split.h"
#include "imgcap/training/dataset.h"

namespace imgcap::cli {

// As the command line has them: FILE or SET=FILE, captions LANG:FILE or SET=LANG:FILE (set_files.h).
struct SetRequest {
  std::vector<std::string> captions, train_lists, val_lists;
  std::vector<std::string> weights;  // SET=NUMBER
  std::vector<std::string> images;
  std::string language;     // of captions that name none
  std::string cache, out;   // what is known of the photos without a look at them; the run's folder
  uint64_t seed = 1;        // of a split that is drawn
  bool by_caption = false;  // without lists: 90/10 of the captions (split_captions)
  bool resume = false;      // without lists: those that the run has written (saved_lists)
};

struct TrainingSet {
  std::string name;        // empty: the run has no other set
  std::string language;    // of its captions; empty: without a name
  double weight = 1;       // of the loss of its captions
  std::string validation;  // where its validation photos are from, for what is printed: "val.txt"
  TrainingSplit split;
};

// The sets in the order of their first caption files, each split by its lists, or else as its captions say, or
// else by seed. One set alone needs no name, and goes without one. Errors: those of set_files.h,
// training_split.h and load_captions, argument (files with a set beside files without, a list or a weight of no
// set, two weights of one set, a weight where there is only one set, sets with a language beside sets without), data
// (a photo that one set trains on and another validates with).
std::vector<TrainingSet> load_training_sets(const SetRequest& request);

enum class Part { training, validation };

// The names of all sets' photos, a set after the other.
std::vector<std::string> photos_of(const std::vector<TrainingSet>& sets, Part part);

// All sets joined (training/dataset.h), each made as make_dataset() does; says how many photos have no captions.
// A set's language has to be one of the vocabulary's. Errors: those of make_dataset.
Dataset dataset_of(const std::vector<TrainingSet>& sets, Part part, const FeatureCache& features,
                   const Vocabulary& vocabulary, int64_t max_tokens);

// What self-critical training takes of them: photos of `min_references` captions and more. Says what it does with
// photos of one, whose reward is less sure. Errors: data (no photo is left).
Dataset for_self_critical(Dataset training, int64_t min_references);

// The captions of all sets' training photos by language, in the order of the sets, and with `both_parts` of the
// validation photos behind them.
std::vector<LanguageCaptions> texts_of(const std::vector<TrainingSet>& sets, bool both_parts);

}  // namespace imgcap::cli
