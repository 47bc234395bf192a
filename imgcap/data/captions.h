// Caption files: whose image, which of its captions, what text.
//
// The formats, told apart by their content, not by the file's name:
//   results.csv   Flickr30k's: a header "image_name| comment_number| comment", then one caption per line, "|"
//                 between the fields, no quoting; without a header the columns are these three
//   csv           a header and fields between commas, semicolons or tabs that may be quoted ("" for a quote,
//                 line breaks allowed); which titles mean what: captions_formats.h; other columns are ignored
//   token         Flickr8k.token.txt: "name#number", a tab, the caption
//   coco          COCO captions JSON: {"images": [{"id", "file_name"}], "annotations": [{"image_id",
//                 "caption"}]}
//   coco-results  COCO results JSON: [{"image_id", "caption"}]; or eval's, which has them under "captions"
//   karpathy      dataset_*.json: {"images": [{"filename", "split", "sentences": [{"raw"}]}]}
//   jsonl         one object per line, with the titles of csv; a photo's captions may be a list:
//                 metadata.jsonl, and what caption --json prints
//   folder        a .txt file for each photo, one caption per line
// A text is UTF-8, or UTF-16 with its mark; lines end in LF, CRLF or CR.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "imgcap/data/photo_names.h"

namespace imgcap {

struct Caption {
  std::string image;  // file name without blanks around it; in COCO results the image_id
  int number = 0;     // which caption of its image, from 0
  std::string text;   // as in the file: results.csv keeps the blank before it
  bool operator==(const Caption&) const = default;
};

// What was read and what was left out.
struct CaptionReport {
  std::string format;                 // as listed above
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
  std::unordered_map<std::string, std::string> image_of_id;  // coco, karpathy: "139" -> "000000000139.jpg"
  size_t images_by_id = 0;                      // coco: images with captions but no file_name; named by id
  std::map<std::string, std::string> split_of;  // image -> "train", "val", "test", as far as the file says
  std::vector<std::string> failed;              // images with {"image", "error"} in place of a caption
};

inline constexpr int64_t kMaxCaptionFileBytes = int64_t{1} << 30;
inline constexpr size_t kMaxCaptionRowBytes = size_t{1} << 20;  // longer rows are skipped

// A caption without text cannot be trained on and is skipped; a model that gave one is scored for it.
enum class EmptyCaptions { skip, keep };

// Of a file or a folder. Bad rows are skipped and reported. Errors: io (it cannot be read), data (it is over
// kMaxCaptionFileBytes, is no text or has NUL bytes, none of the formats, no valid JSON, has an unclosed
// quote, a photo in two splits, or not one caption).
CaptionFile read_captions(const std::filesystem::path& file, EmptyCaptions empty = EmptyCaptions::skip);

// The same for a text in memory; `name` stands for the file in messages.
CaptionFile parse_captions(std::string_view text, const std::string& name,
                           EmptyCaptions empty = EmptyCaptions::skip);

// The number that COCO has in a photo's name: all of "000000000139.jpg", or the twelve digits behind the last
// "_" of "COCO_val2014_000000000139.jpg".
std::optional<int64_t> id_in_name(std::string_view name);

// COCO results name images by id, COCO captions by file name: gives the images of `results` that are no image
// of `references` the name that `references` has for them as an id, or whose id_in_name() they are; and
// images whose id_in_name() is all that `references` has for a name get that id. Returns how many captions
// were renamed. Errors: data (an id is in two names).
int64_t rename_images_by_id(CaptionFile& results, const CaptionFile& references);

// Gives the images that mean one of `photos` its key. Errors: data (photo_names.h); `file` names where the
// captions are from.
void rename_images(std::vector<Caption>& captions, const PhotoNames& photos, const std::string& file);

struct ImageList {
  std::vector<std::string> names;       // in the file's order, each once
  std::vector<std::string> duplicates;  // "file:line: reason" of names that were there before
};

// A list like train.txt: one image name per line, blank lines ignored. Errors: those of read_captions, data
// (no names).
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
