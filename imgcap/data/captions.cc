#include "imgcap/data/captions.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>
#include <utility>

#include "imgcap/data/captions_formats.h"
#include "imgcap/data/text_file.h"
#include "imgcap/data/utf8.h"
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

std::optional<int> parse_number(std::string_view field) {
  field = trim(field);
  int value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  std::string_view rest = field.substr(static_cast<size_t>(end - field.data()));
  if (rest.starts_with('.')) rest.remove_prefix(std::min(rest.find_first_not_of('0', 1), rest.size()));
  if (error != std::errc() || !rest.empty() || value < 0) return std::nullopt;
  return value;
}

void Reading::add(std::string_view image, std::optional<int> number, std::string_view text,
                  const std::string& where, std::string_view split) {
  image = trim(image);
  if (image.empty()) return skip(where + ": no image name");
  if (trim(text).empty() && empty_ == EmptyCaptions::skip) return skip(where + ": no caption");
  if (image.find('\0') != image.npos || text.find('\0') != text.npos)  // as "\u0000" in JSON
    return skip(where + ": a NUL character");
  if (image.size() + text.size() > kMaxCaptionRowBytes)
    return skip(tensor::format("{}: longer than {} bytes", where, kMaxCaptionRowBytes));
  split = trim(split);
  if (!split.empty()) {
    const auto [place, fresh] = file.split_of.emplace(image, split);
    check(place->second == split, ErrorKind::data, "{}: \"{}\" is in the split {} here, and in {} before",
          where, printable(image), printable(split), printable(place->second));
  }
  if (!number) number = next_[std::string(image)]++;
  file.captions.push_back({std::string(image), *number, std::string(text)});
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

namespace {

void expect_captions(const CaptionFile& file, const std::string& name) {
  check(!file.captions.empty(), ErrorKind::data, "{}: not one caption in it ({} format{}{})", name,
        file.report.format, file.report.skipped > 0 ? "; " : "",
        file.report.skipped > 0 ? file.report.problems.front() : "");
}

}  // namespace

CaptionFile parse_captions(std::string_view bytes, const std::string& name, EmptyCaptions empty) {
  check(std::ssize(bytes) <= kMaxCaptionFileBytes, ErrorKind::data, "{}: {} bytes; the limit is {}", name,
        bytes.size(), kMaxCaptionFileBytes);
  const PlainText plain(bytes, name);
  const std::string_view text = plain.text();
  check(!formats::trim(text).empty(), ErrorKind::data, "{}: the file is empty; expected captions", name);
  CaptionFile file;
  formats::Reading reading(name, file, empty);
  const formats::Detected found = formats::detect(text, name);
  file.report.format = found.format;
  if (found.format == "results.csv")
    formats::parse_pipe(text, reading);
  else if (found.format == "csv")
    formats::parse_csv(text, found.delimiter, reading);
  else if (found.format == "token")
    formats::parse_token(text, reading);
  else if (found.format == "jsonl")
    formats::parse_lines(text, reading);
  else
    formats::parse_document(text, reading);
  expect_captions(file, name);
  return file;
}

CaptionFile read_captions(const std::filesystem::path& path, EmptyCaptions empty) {
  if (!std::filesystem::is_directory(path))
    return parse_captions(tensor::io::read_file(path, kMaxCaptionFileBytes), path.string(), empty);
  // A folder of photos as the Hugging Face hub has them says it all in one file.
  for (const char* name : {"metadata.jsonl", "metadata.csv"})
    if (std::filesystem::is_regular_file(path / name)) return read_captions(path / name, empty);
  CaptionFile file;
  const std::string name = path.string();
  formats::Reading reading(name, file, empty);
  file.report.format = "folder";
  formats::read_folder(path, reading);
  expect_captions(file, name);
  return file;
}

std::optional<int64_t> id_in_name(std::string_view name) {
  name.remove_prefix(std::min(name.find_last_of("/\\") + 1, name.size()));
  name = name.substr(0, name.find('.'));
  const size_t mark = name.rfind('_');
  if (mark != name.npos) {
    name.remove_prefix(mark + 1);
    if (name.size() != 12) return std::nullopt;
  }
  int64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc() || end != name.data() + name.size() || id < 0) return std::nullopt;
  return id;
}

int64_t rename_images_by_id(CaptionFile& results, const CaptionFile& references) {
  std::unordered_set<std::string_view> images;
  std::unordered_map<std::string, std::string> image_of_id = references.image_of_id;
  std::unordered_map<std::string, std::string> twice;
  for (const auto& caption : references.captions) {
    if (!images.insert(caption.image).second) continue;
    if (const auto id = id_in_name(caption.image)) {
      const auto [place, fresh] = image_of_id.emplace(std::to_string(*id), caption.image);
      if (!fresh && place->second != caption.image && !references.image_of_id.contains(place->first))
        twice.emplace(place->first, caption.image);
    }
  }
  int64_t renamed = 0;
  const auto rename = [&](std::string& image) {
    if (images.contains(image)) return;
    auto found = image_of_id.find(image);
    if (const auto id = id_in_name(image); found == image_of_id.end() && id) {
      // The other way round: references that are nothing but ids.
      found = image_of_id.find(std::to_string(*id));
      if (found != image_of_id.end() && found->second != found->first) return;
    }
    if (found == image_of_id.end()) return;
    const auto other = twice.find(image);
    check(other == twice.end(), ErrorKind::data, "the id {} is in two photos' names, \"{}\" and \"{}\"",
          image, printable(found->second), other == twice.end() ? "" : printable(other->second));
    image = found->second;
    ++renamed;
  };
  for (auto& caption : results.captions) rename(caption.image);
  const int64_t captions = renamed;
  for (std::string& image : results.failed) rename(image);
  return captions;
}

void rename_images(std::vector<Caption>& captions, const PhotoNames& photos, const std::string& file) {
  NamesOfFile names(photos, file);
  for (Caption& caption : captions)
    if (const auto photo = names.find(caption.image))
      caption.image = photos.keys()[static_cast<size_t>(*photo)];
}

ImageList parse_image_list(std::string_view bytes, const std::string& name) {
  const PlainText plain(bytes, name);
  ImageList list;
  std::unordered_map<std::string, size_t> lines;
  LineReader reader(plain.text());
  while (const auto line = reader.next()) {
    const std::string image(formats::trim(*line));
    if (image.empty()) continue;
    check(image.size() <= 4096, ErrorKind::data,
          "{}:{}: an image name of {} bytes; expected one name per line", name, reader.line_number(),
          image.size());
    const auto [place, is_new] = lines.emplace(image, reader.line_number());
    if (is_new)
      list.names.push_back(image);
    else
      list.duplicates.push_back(tensor::format("{}:{}: \"{}\" is on line {} already", name,
                                               reader.line_number(), image, place->second));
  }
  check(!list.names.empty(), ErrorKind::data, "{}: not one image name in it; expected one name per line",
        name);
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
