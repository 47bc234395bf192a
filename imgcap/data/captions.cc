#include "imgcap/data/captions.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "imgcap/data/captions_formats.h"
#include "imgcap/data/text_file.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

namespace formats {

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

void add_caption(std::string_view image, int number, std::string_view text, const std::string& where,
                 CaptionFile& file) {
  image = trim(image);
  if (image.empty()) return file.report.skip(where + ": no image name");
  if (trim(text).empty()) return file.report.skip(where + ": no caption");
  if (image.find('\0') != image.npos || text.find('\0') != text.npos)  // as "\u0000" in JSON
    return file.report.skip(where + ": a NUL character");
  if (image.size() + text.size() > kMaxCaptionRowBytes)
    return file.report.skip(tensor::format("{}: longer than {} bytes", where, kMaxCaptionRowBytes));
  file.captions.push_back({std::string(image), number, std::string(text)});
  ++file.report.kept;
}

}  // namespace formats

void CaptionReport::skip(std::string problem) {
  ++skipped;
  if (problems.size() < kMaxProblems) problems.push_back(std::move(problem));
}

std::string CaptionReport::summary() const {
  std::string out = tensor::format("{} captions ({} format)", kept, format);
  if (skipped > 0) out += tensor::format(", {} rows skipped, the first: {}", skipped, problems.front());
  return out;
}

CaptionFile parse_captions(std::string_view text, const std::string& name) {
  check(std::ssize(text) <= kMaxCaptionFileBytes, ErrorKind::data, "{}: {} bytes; the limit is {}", name,
        text.size(), kMaxCaptionFileBytes);
  text = without_byte_order_mark(text);
  check_text(text, name);
  const std::string_view content = formats::trim(text);
  check(!content.empty(), ErrorKind::data, "{}: the file is empty; expected captions", name);
  CaptionFile file;
  const std::string_view first_line = content.substr(0, content.find('\n'));
  if (content.front() == '{' || content.front() == '[') {
    file.report.format = content.front() == '{' ? "coco" : "coco-results";
    formats::parse_coco(text, name, file);
  } else if (first_line.find('|') != std::string_view::npos) {
    file.report.format = "results.csv";
    formats::parse_pipe(text, name, file);
  } else if (first_line.find(',') != std::string_view::npos) {
    file.report.format = "comma";
    formats::parse_comma(text, name, file);
  } else {
    tensor::fail(
        ErrorKind::data,
        "{}:1: no known caption format; expected \"image_name| comment_number| comment\", a header with "
        "commas, or COCO JSON",
        name);
  }
  check(!file.captions.empty(), ErrorKind::data, "{}: not one caption in it ({} format{}{})", name,
        file.report.format, file.report.skipped > 0 ? "; " : "",
        file.report.skipped > 0 ? file.report.problems.front() : "");
  return file;
}

CaptionFile read_captions(const std::filesystem::path& file) {
  return parse_captions(tensor::io::read_file(file, kMaxCaptionFileBytes), file.string());
}

int64_t rename_images_by_id(CaptionFile& results, const CaptionFile& references) {
  std::unordered_set<std::string_view> images;
  for (const auto& caption : references.captions) images.insert(caption.image);
  int64_t renamed = 0;
  for (auto& caption : results.captions) {
    if (images.contains(caption.image)) continue;
    const auto found = references.image_of_id.find(caption.image);
    if (found == references.image_of_id.end()) continue;
    caption.image = found->second;
    ++renamed;
  }
  return renamed;
}

void rename_images(std::vector<Caption>& captions, const PhotoNames& photos, const std::string& file) {
  NamesOfFile names(photos, file);
  for (Caption& caption : captions)
    if (const auto photo = names.find(caption.image))
      caption.image = photos.keys()[static_cast<size_t>(*photo)];
}

ImageList parse_image_list(std::string_view text, const std::string& name) {
  check_text(text, name);
  ImageList list;
  std::unordered_map<std::string, size_t> lines;
  LineReader reader(text);
  while (const auto line = reader.next()) {
    const std::string image(formats::trim(*line));
    if (image.empty()) continue;
    check(image.size() <= 4096, ErrorKind::data, "{}:{}: an image name of {} bytes; expected one name a line",
          name, reader.line_number(), image.size());
    const auto [place, is_new] = lines.emplace(image, reader.line_number());
    if (is_new)
      list.names.push_back(image);
    else
      list.duplicates.push_back(tensor::format("{}:{}: \"{}\" is on line {} already", name,
                                               reader.line_number(), image, place->second));
  }
  check(!list.names.empty(), ErrorKind::data, "{}: not one image name in it; expected one name a line", name);
  return list;
}

ImageList read_image_list(const std::filesystem::path& file) {
  return parse_image_list(tensor::io::read_file(file, kMaxCaptionFileBytes), file.string());
}

std::vector<ImageCaptions> group_by_image(const std::vector<Caption>& captions) {
  std::vector<ImageCaptions> groups;
  std::unordered_map<std::string_view, size_t> places;
  for (size_t i = 0; i < captions.size(); ++i) {
    const auto [place, is_new] = places.emplace(captions[i].image, groups.size());
    if (is_new) groups.push_back({captions[i].image, {}});
    groups[place->second].captions.push_back(i);
  }
  for (auto& group : groups)
    std::stable_sort(group.captions.begin(), group.captions.end(),
                     [&](size_t a, size_t b) { return captions[a].number < captions[b].number; });
  return groups;
}

std::vector<ImageCaptions> select_images(const std::vector<ImageCaptions>& groups,
                                         const std::vector<std::string>& names,
                                         std::vector<std::string>* missing) {
  std::unordered_map<std::string_view, size_t> places;
  for (size_t i = 0; i < groups.size(); ++i) places.emplace(groups[i].image, i);
  std::vector<ImageCaptions> out;
  for (const auto& name : names) {
    const auto found = places.find(name);
    if (found != places.end())
      out.push_back(groups[found->second]);
    else if (missing != nullptr)
      missing->push_back(name);
  }
  return out;
}

}  // namespace imgcap
