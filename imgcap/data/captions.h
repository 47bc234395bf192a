// Caption files: whose image, which of its captions, what text.
//
// Four formats, told apart by their content:
//   results.csv   Flickr30k's: a header "image_name| comment_number| comment", then one caption a line, "|"
//   between the
//                 fields, no quoting; without a header the columns are these three.
//   comma         a header with image_name (or image), comment_number (may be absent) and comment (or
//   caption), then rows
//                 with fields that may be quoted ("" for a quote, line breaks allowed); other columns are
//                 ignored.
//   coco          COCO captions JSON: {"images": [{"id", "file_name"}], "annotations": [{"image_id",
//   "caption"}]} coco-results  COCO results JSON: [{"image_id", "caption"}]; or eval's, which has them under
//   "captions"
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "imgcap/data/photo_names.h"

namespace imgcap {

struct Caption {
  std::string image;  // file name without blanks around it; in COCO results the image_id
  int number = 0;     // which caption of its image, from 0
  std::string text;   // as in the file: the CSV formats keep the blank before it
  bool operator==(const Caption&) const = default;
};

// What was read and what was left out.
struct CaptionReport {
  std::string format;                 // "results.csv", "comma", "coco" or "coco-results"
  int64_t kept = 0;                   // captions
  int64_t skipped = 0;                // rows without enough fields, without image, number or text
  std::vector<std::string> problems;  // "file:line: reason" of the first kMaxProblems rows that were skipped

  static constexpr size_t kMaxProblems = 10;
  void skip(std::string problem);
  std::string summary() const;  // one line for the user
};

struct CaptionFile {
  std::vector<Caption> captions;  // in the file's order
  CaptionReport report;
  std::unordered_map<std::string, std::string> image_of_id;  // coco: "139" -> "000000000139.jpg"
  size_t images_by_id = 0;  // coco: images with captions but no file_name; their name is the id
};

inline constexpr int64_t kMaxCaptionFileBytes = int64_t{1} << 30;
inline constexpr size_t kMaxCaptionRowBytes = size_t{1} << 20;  // longer rows are skipped

// Kind io: the file cannot be read. Kind data: it is over kMaxCaptionFileBytes, is no text in UTF-8 or has
// NUL bytes, none of the formats, no valid JSON, has an unclosed quote, or not one caption. Bad rows are
// skipped and reported.
CaptionFile read_captions(const std::filesystem::path& file);

// The same for a text in memory; `name` stands for the file in messages.
CaptionFile parse_captions(std::string_view text, const std::string& name);

// COCO results name images by id, COCO captions by file name: gives the images of `results` that are no image
// of `references` the name that `references` has for them as an id. Returns how many captions were renamed.
int64_t rename_images_by_id(CaptionFile& results, const CaptionFile& references);

// Gives the images that mean one of `photos` its key. Errors: data (photo_names.h); `file` names where the
// captions are from.
void rename_images(std::vector<Caption>& captions, const PhotoNames& photos, const std::string& file);

struct ImageList {
  std::vector<std::string> names;       // in the file's order, each once
  std::vector<std::string> duplicates;  // "file:line: reason" of names that were there before
};

// A list like train.txt: one image name a line, blank lines ignored. Kind io or data, as above; data: no
// names.
ImageList read_image_list(const std::filesystem::path& file);
ImageList parse_image_list(std::string_view text, const std::string& name);

// Image -> captions, of one file.
using CaptionsByPhoto = std::map<std::string, std::vector<std::string>>;

// The captions of one image, as positions in a vector of captions.
struct ImageCaptions {
  std::string image;
  std::vector<size_t> captions;  // by number, equal numbers in the file's order
};

// Images in the order of their first captions.
std::vector<ImageCaptions> group_by_image(const std::vector<Caption>& captions);

// The groups of the images of a list, in the list's order; images without captions go to `missing`.
std::vector<ImageCaptions> select_images(const std::vector<ImageCaptions>& groups,
                                         const std::vector<std::string>& names,
                                         std::vector<std::string>* missing = nullptr);

}  // namespace imgcap
