// What is to be known of captions and photos before a training run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "imgcap/data/archive.h"
#include "imgcap/data/captions.h"
#include "tensor/io/json.h"

namespace imgcap::cli {

struct DataCheck {
  std::vector<std::pair<std::string, std::string>> files;  // caption file, its format
  int64_t captions = 0, skipped = 0;                       // rows
  std::vector<std::string> problems;                       // the first of those
  int64_t captioned = 0;                                   // photos with captions
  std::map<int64_t, int64_t> photos_with;                  // captions -> photos that have so many
  int64_t same_captions = 0;                               // that their photo has before
  std::string same_caption_of;                             // the first such photo
  int64_t longest_words = 0;                               // between blanks
  std::string longest_of;
  std::map<std::string, int64_t> splits;  // photos

  // With photos.
  bool has_photos = false, all_read = false;
  int64_t photos = 0;
  std::vector<std::string> without_photo, without_captions;
  std::vector<std::pair<std::string, std::string>> unreadable;   // photo, reason
  std::vector<std::pair<std::string, std::string>> same_photos;  // equal bytes: the first, another
};

// Errors: those of read_captions, data (names that mean two photos).
DataCheck check_captions(const std::vector<std::string>& files, const ImageSource* photos);

// Decodes every picture, on all threads; throws Interrupted when Ctrl-C asks for it.
void check_pictures(const ImageSource& photos, DataCheck& result);

std::string text_of(const DataCheck& check);  // one screen
tensor::io::Json to_json(const DataCheck& check);

}  // namespace imgcap::cli
