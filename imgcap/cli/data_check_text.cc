// A check of data for people and for scripts.
#include <algorithm>

#include "imgcap/cli/data_check.h"
#include "imgcap/data/utf8.h"
#include "tensor/format.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

constexpr size_t kShown = 3;  // of a list, on the screen
constexpr size_t kRows = 8;   // of the captions per photo

std::string plural(int64_t count, const char* one, const char* many) {
  return tensor::format("{} {}", count, count == 1 ? one : many);
}

// "12: a, b, c, ..."; nothing for none.
void list(std::string& text, const char* what, const std::vector<std::string>& items) {
  if (items.empty()) return;
  std::vector<std::string> first;
  for (size_t i = 0; i < std::min(items.size(), kShown); ++i) first.push_back(printable(items[i]));
  text += tensor::format("{:<22}{}: {}{}\n", what, items.size(), tensor::join(first, ", "),
                         items.size() > kShown ? ", ..." : "");
}

// "a (reason)", "a = b".
std::vector<std::string> joined(const std::vector<std::pair<std::string, std::string>>& items,
                                const char* between, const char* end) {
  std::vector<std::string> all;
  for (const auto& [first, second] : items) all.push_back(first + between + second + end);
  return all;
}

Json pairs(const std::vector<std::pair<std::string, std::string>>& items, const char* first,
           const char* second) {
  Json all = Json::array();
  for (const auto& [a, b] : items) all.push_back(Json::object({{first, a}, {second, b}}));
  return all;
}

}  // namespace

std::string text_of(const DataCheck& check) {
  std::string text;
  for (const auto& [file, format] : check.files)
    text += tensor::format("{:<22}{} ({} format)\n", "captions", printable(file), format);
  text += tensor::format("{:<22}{} of {}\n", "", plural(check.captions, "caption", "captions"),
                         plural(check.captioned, "photo", "photos"));
  size_t rows = 0;
  for (const auto& [captions, photos] : check.photos_with) {
    if (rows++ == kRows) {
      text += tensor::format("{:<22}...\n", "");
      break;
    }
    text += tensor::format("{:<22}{}: {}\n", rows == 1 ? "captions per photo" : "", captions,
                           plural(photos, "photo", "photos"));
  }
  text += tensor::format("{:<22}{}, of {}\n", "longest caption", plural(check.longest_words, "word", "words"),
                         printable(check.longest_of));
  std::string splits;
  for (const auto& [name, photos] : check.splits)
    splits += tensor::format("{}{} {}", splits.empty() ? "" : ", ", printable(name), photos);
  text += tensor::format("{:<22}{}\n", "splits", splits.empty() ? "none" : splits);
  if (check.skipped > 0)
    text += tensor::format("{:<22}{}, the first: {}\n", "rows skipped", check.skipped,
                           printable(check.problems.front()));
  if (check.same_captions > 0)
    text += tensor::format("{:<22}{}, the first of {}\n", "same caption twice", check.same_captions,
                           printable(check.same_caption_of));
  if (!check.has_photos) return text;
  text += tensor::format(
      "{:<22}{}{}\n", "photos", check.photos,
      check.all_read ? tensor::format(", {} can be read", check.photos - std::ssize(check.unreadable)) : "");
  list(text, "captions, no photo", check.without_photo);
  list(text, "photos, no caption", check.without_captions);
  list(text, "unreadable photos", joined(check.unreadable, " (", ")"));
  list(text, "same photo twice", joined(check.same_photos, " = ", ""));
  const auto usable = check.captioned - std::ssize(check.without_photo);
  text += tensor::format("{:<22}{} with captions{}\n", "to train with", plural(usable, "photo", "photos"),
                         check.unreadable.empty() ? "" : ", less those that cannot be read");
  return text;
}

Json to_json(const DataCheck& check) {
  Json photos_with = Json::object();
  for (const auto& [captions, photos] : check.photos_with) photos_with[std::to_string(captions)] = photos;
  Json json = Json::object({{"files", pairs(check.files, "file", "format")},
                            {"captions", check.captions},
                            {"captioned_photos", check.captioned},
                            {"photos_with", photos_with},
                            {"longest_words", check.longest_words},
                            {"longest_of", check.longest_of},
                            {"splits", check.splits},
                            {"rows_skipped", check.skipped},
                            {"problems", check.problems},
                            {"same_captions", check.same_captions}});
  if (!check.has_photos) return json;
  json["photos"] = check.photos;
  json["captions_without_photo"] = check.without_photo;
  json["photos_without_captions"] = check.without_captions;
  if (!check.all_read) return json;
  json["unreadable"] = pairs(check.unreadable, "image", "error");
  json["same_photos"] = pairs(check.same_photos, "image", "same_as");
  return json;
}

}  // namespace imgcap::cli
