// The formats behind parse_captions(): one file each, which reads and writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "imgcap/data/captions.h"

namespace imgcap::formats {

// What a column's title or a JSON key means.
enum class Field { other, image, image_id, number, text, split, error };

// In any case, with blanks or "-" for "_": "Image Name" is "image_name".
Field field_of(std::string_view title);

std::string_view trim(std::string_view text);  // without blanks, tabs and line ends around it

// A caption's number: 0 or more, "2" or "2.0", nothing else in the field.
std::optional<int> parse_number(std::string_view field);

// One file that is being read.
class Reading {
 public:
  Reading(const std::string& file_name, CaptionFile& result, EmptyCaptions empty = EmptyCaptions::skip)
      : name(file_name), file(result), empty_(empty) {}

  // Adds the caption, or the reason why it is none. Without a number it is the image's next one. Errors:
  // data, the image is in another split already.
  void add(std::string_view image, std::optional<int> number, std::string_view text, const std::string& where,
           std::string_view split = {});
  void skip(std::string problem) { file.report.skip(std::move(problem)); }

  const std::string& name;
  CaptionFile& file;

 private:
  EmptyCaptions empty_;
  std::unordered_map<std::string, int> next_;  // by image
};

void parse_pipe(std::string_view text, Reading& reading);
void parse_csv(std::string_view text, char delimiter, Reading& reading);
void parse_token(std::string_view text, Reading& reading);
void parse_lines(std::string_view text, Reading& reading);     // JSON lines
void parse_document(std::string_view text, Reading& reading);  // all other JSON
void read_folder(const std::filesystem::path& folder, Reading& reading);

// The format's name and, for csv, what stands between its fields. Errors: data (none of them).
struct Detected {
  std::string format;
  char delimiter = 0;
};
// `text` has more than blanks. JSON that is no jsonl is "coco" or "coco-results"; parse_document() knows
// more.
Detected detect(std::string_view text, const std::string& name);

// Whether a line begins as in the token format, "name#number".
bool is_token_line(std::string_view line);
// Whether the text that begins with "{" is one object after the other, each with an image of its own.
bool is_json_lines(std::string_view text);

// The texts of the files. What a format cannot hold is named in `losses`, once each.
using Losses = std::vector<std::string>;
std::string write_pipe(const CaptionFile& file, Losses& losses);
std::string write_csv(const CaptionFile& file, Losses& losses);
std::string write_token(const CaptionFile& file, Losses& losses);
std::string write_lines(const CaptionFile& file, Losses& losses);
std::string write_coco(const CaptionFile& file, Losses& losses);
std::string write_karpathy(const CaptionFile& file, Losses& losses);
void write_folder(const CaptionFile& file, const std::filesystem::path& folder, Losses& losses);

// What several writers need.
void lose(Losses& losses, const std::string& what);           // once each
void lose_splits(const CaptionFile& file, Losses& losses);    // where the file has some
void lose_numbers(const CaptionFile& file, Losses& losses);   // where they are not an image's 0, 1, 2, ...
std::string one_line(std::string_view text, Losses& losses);  // line breaks become blanks
// The name. Errors: data (it has one of the characters, which the format has a use for).
const std::string& one_line_name(const std::string& image, const char* characters, const char* format);

}  // namespace imgcap::formats
