// Which captions a run trains on and which it validates with.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace imgcap::cli {

using CaptionsByPhoto = std::map<std::string, std::vector<std::string>>;

struct TrainingSplit {
  std::vector<std::string> train, val;           // photos
  std::vector<std::string> test;                 // the rest, where the split was drawn
  CaptionsByPhoto train_captions, val_captions;  // of these photos at least
  bool drawn = false;                            // by photo, from the seed
};

// By the lists; without lists 80/10/10 by photo.
TrainingSplit split_photos(const CaptionsByPhoto& captions, const std::string& train_list,
                           const std::string& val_list, uint64_t seed);

// The original's: 90/10 by caption, so that most photos are in both parts with different captions.
TrainingSplit split_captions(const CaptionsByPhoto& captions, uint64_t seed);

// Writes FOLDER/train.txt, val.txt and test.txt, so that the test photos are known later and the run can go
// on with the same ones; says so.
void save_lists(const TrainingSplit& split, const std::string& folder);

// {train, val} as save_lists() wrote them. Argument error where they are not there: the run was trained with
// lists of the user's.
std::pair<std::string, std::string> saved_lists(const std::string& folder);

// The captions of the named photos.
std::vector<std::string> texts_of(const CaptionsByPhoto& captions, const std::vector<std::string>& photos);

}  // namespace imgcap::cli
