// What several formats' writers need, and the choice among them.
#include <algorithm>
#include <unordered_map>

#include "imgcap/data/captions_formats.h"
#include "imgcap/data/captions_write.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap {
namespace formats {

void lose(Losses& losses, const std::string& what) {
  if (std::find(losses.begin(), losses.end(), what) == losses.end()) losses.push_back(what);
}

void lose_splits(const CaptionFile& file, Losses& losses) {
  if (!file.split_of.empty()) lose(losses, "the splits");
}

void lose_numbers(const CaptionFile& file, Losses& losses) {
  std::unordered_map<std::string_view, int> next;
  for (const Caption& caption : file.captions)
    if (caption.number != next[caption.image]++) return lose(losses, "the captions' own numbers");
}

std::string one_line(std::string_view text, Losses& losses) {
  std::string line(text);
  if (line.find_first_of("\r\n") == line.npos) return line;
  lose(losses, "line breaks in captions");
  for (char& c : line)
    if (c == '\r' || c == '\n') c = ' ';
  return line;
}

const std::string& one_line_name(const std::string& image, const char* characters, const char* format) {
  tensor::check(image.find_first_of(characters) == image.npos, tensor::ErrorKind::data,
                "the photo \"{}\" cannot be named in the format {}", printable(image), format);
  return image;
}

}  // namespace formats

const std::vector<std::string>& written_formats() {
  static const std::vector<std::string> all = {"results.csv", "csv",   "token", "coco",
                                               "karpathy",    "jsonl", "folder"};
  return all;
}

std::vector<std::string> write_captions(const CaptionFile& file, const std::string& format,
                                        const std::filesystem::path& out) {
  using Writer = std::string (*)(const CaptionFile&, formats::Losses&);
  const std::unordered_map<std::string, Writer> writers = {
      {"results.csv", formats::write_pipe},  {"csv", formats::write_csv},
      {"token", formats::write_token},       {"coco", formats::write_coco},
      {"karpathy", formats::write_karpathy}, {"jsonl", formats::write_lines}};
  formats::Losses losses;
  if (format == "folder") {
    formats::write_folder(file, out, losses);
    return losses;
  }
  const auto writer = writers.find(format);
  tensor::check(writer != writers.end(), tensor::ErrorKind::argument, "captions: no format '{}' to write",
                format);
  tensor::io::write_file_atomically(out, writer->second(file, losses));
  return losses;
}

}  // namespace imgcap
