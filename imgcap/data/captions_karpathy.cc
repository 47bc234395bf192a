#include "imgcap/data/captions_karpathy.h"

#include <algorithm>

#include "imgcap/data/utf8.h"
#include "tensor/format.h"
#include "tensor/io/json.h"

namespace imgcap::formats {
namespace {

using tensor::io::Json;

// As Karpathy's files have them: lower case, without signs.
Json tokens_of(const std::string& text) {
  Json tokens = Json::array();
  std::u32string word;
  const auto finish = [&] {
    if (!word.empty()) tokens.push_back(lower_case_utf8(word));
    word.clear();
  };
  for (const char32_t c : decode_utf8(text)) {
    const bool sign =
        c < 0x80 && std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").find(static_cast<char>(c)) !=
                        std::string_view::npos;
    if (c <= U' ')
      finish();
    else if (!sign)
      word += c;
  }
  finish();
  return tokens;
}

}  // namespace

void Karpathy::add(const JsonEntry& entry, Reading& reading) {
  const std::string where = tensor::format("{}: image {}", reading.name, ++images_);
  const std::string name(trim(entry.image.value_or(""))), folder(trim(entry.folder.value_or("")));
  const std::string image = folder.empty() || name.empty() ? name : folder + "/" + name;
  for (const std::string& text : entry.texts) reading.add(image, {}, text, where, entry.split.value_or(""));
  if (entry.texts.empty()) reading.skip(where + ": no caption");
  if (entry.coco_id && !image.empty()) reading.file.image_of_id.emplace(*entry.coco_id, image);
}

std::string write_karpathy(const CaptionFile& file, Losses& losses) {
  lose_numbers(file, losses);
  Json images = Json::array();
  size_t sentence = 0;
  for (const ImageCaptions& group : group_by_image(file.captions)) {
    Json ids = Json::array(), sentences = Json::array();
    const size_t image = images.size();
    for (const size_t i : group.captions) {
      const std::string& text = file.captions[i].text;
      sentences.push_back(
          Json::object({{"tokens", tokens_of(text)}, {"raw", text}, {"imgid", image}, {"sentid", sentence}}));
      ids.push_back(sentence++);
    }
    Json entry = Json::object({{"imgid", image}});
    const size_t slash = group.image.rfind('/');
    // Joined again by one "/".
    const bool has_folder = slash != group.image.npos && slash > 0 && slash + 1 < group.image.size();
    if (has_folder) entry["filepath"] = group.image.substr(0, slash);
    entry["filename"] = has_folder ? group.image.substr(slash + 1) : group.image;
    if (const auto split = file.split_of.find(group.image); split != file.split_of.end())
      entry["split"] = split->second;
    entry["sentids"] = std::move(ids);
    entry["sentences"] = std::move(sentences);
    images.push_back(std::move(entry));
  }
  return Json::object({{"dataset", "converted"}, {"images", images}}).dump() + "\n";
}

}  // namespace imgcap::formats
