// Which captions a run trains on and which it validates with.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "imgcap/data/captions.h"
#include "imgcap/data/photo_names.h"

namespace imgcap::cli {

struct TrainingSplit {
  std::vector<std::string> train, val;                        // photos
  std::vector<std::string> test;                              // the rest, where the split was drawn
  std::vector<CaptionsByPhoto> train_captions, val_captions;  // of these photos at least, by file
  bool drawn = false;                                         // by photo, from the seed
  bool from_captions = false;                                 // as the caption files say
};

// By the lists; those of several files are put together, each name once. Errors: argument (only one part has
// any).
TrainingSplit split_by_lists(const std::vector<CaptionsByPhoto>& captions,
                             const std::vector<std::string>& train_lists,
                             const std::vector<std::string>& val_lists);

// Whether a split of that name is trained on: train and Karpathy's restval.
bool is_training_split(std::string_view name);

// By the splits that the caption files have: train and restval, val (or valid, validation, dev), test.
// Errors: argument (none to train on or to validate).
TrainingSplit split_as_captions_say(const std::vector<CaptionsByPhoto>& captions,
                                    const std::map<std::string, std::vector<std::string>>& splits);

// 80/10/10 of the photos that have captions, by photo. Errors: data (photo_names.h, or none has).
TrainingSplit split_photos(const std::vector<CaptionsByPhoto>& captions, const PhotoNames& photos,
                           uint64_t seed);

// 90/10 of their captions, so that most photos are in both parts with different ones.
TrainingSplit split_captions(const std::vector<CaptionsByPhoto>& captions, const PhotoNames& photos,
                             uint64_t seed);

// Writes FOLDER/train.txt, val.txt and test.txt, of one set among several SET.train.txt and so on, so that the
// test photos are known later and the run can go on with the same ones; says so.
void save_lists(const TrainingSplit& split, const std::string& folder, const std::string& set = "");

// {train, val} as save_lists() wrote them. Errors: argument (they are not there: the run was trained with
// lists of the user's).
std::pair<std::string, std::string> saved_lists(const std::string& folder, const std::string& set = "");

// The captions of the named photos.
std::vector<std::string> texts_of(const std::vector<CaptionsByPhoto>& captions,
                                  const std::vector<std::string>& photos);

}  // namespace imgcap::cli
