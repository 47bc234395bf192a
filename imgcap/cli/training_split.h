// Which captions a run trains on and which it validates with.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace imgcap::cli {

using CaptionsByPhoto = std::map<std::string, std::vector<std::string>>;

struct TrainingSplit {
  std::vector<std::string> train, val;           // photos
  std::vector<std::string> test;                 // the rest, where the split was drawn
  CaptionsByPhoto train_captions, val_captions;  // of these photos at least
};

// By the lists; without lists 80/10/10 by photo.
TrainingSplit split_photos(const CaptionsByPhoto& captions, const std::string& train_list,
                           const std::string& val_list, uint64_t seed);

// The original's: 90/10 by caption, so that most photos are in both parts with different captions.
TrainingSplit split_captions(const CaptionsByPhoto& captions, uint64_t seed);

// The captions of the named photos.
std::vector<std::string> texts_of(const CaptionsByPhoto& captions, const std::vector<std::string>& photos);

}  // namespace imgcap::cli
