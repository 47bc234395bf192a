// COCO's captions and results, what eval writes, and the choice between them and Karpathy's.
#include <unordered_set>

#include "imgcap/data/captions_json.h"
#include "imgcap/data/captions_karpathy.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::formats {
namespace {

struct Found {
  std::string image_id, text, split;
  size_t entry;  // of those with captions, from 1
  bool result;   // image_id names the image itself
};

class Coco {
 public:
  void image(const JsonEntry& entry) {
    if (!entry.id) return;
    const std::string name(entry.image_is_number ? "" : trim(entry.image.value_or("")));
    if (name.empty()) unnamed_.insert(*entry.id);
    images_.emplace(*entry.id, name.empty() ? *entry.id : name);
  }

  // What is missing is left empty and reported with the others later.
  void caption(const JsonEntry& entry, bool result, Reading& reading) {
    // A name goes before an id.
    const auto& named = result && entry.image && !entry.image_is_number ? entry.image : entry.image_id;
    std::string image = named.value_or(result ? entry.image.value_or("") : "");
    ++entries_;
    if (entry.error && entry.texts.empty()) {
      reading.file.failed.push_back(std::move(image));
      return;
    }
    const std::string split = result ? entry.split.value_or("") : "";
    if (entry.texts.empty()) captions_.push_back({image, "", split, entries_, result});
    for (const std::string& text : entry.texts) captions_.push_back({image, text, split, entries_, result});
  }

  void add_to(Reading& reading) {
    std::unordered_set<std::string> by_id;
    for (const auto& [image_id, text, split, place, result] : captions_) {
      const std::string where =
          tensor::format("{}: {} {}", reading.name, result ? "result" : "annotation", place);
      const auto found = images_.find(image_id);
      if (!result && found == images_.end()) {
        reading.skip(
            tensor::format("{}: no image has the id {}", where, image_id.empty() ? "(none)" : image_id));
        continue;
      }
      const std::string& image = result ? image_id : found->second;
      const size_t before = reading.file.captions.size();
      reading.add(image, {}, text, where, split);
      if (reading.file.captions.size() > before && !result && unnamed_.contains(image_id))
        by_id.insert(image_id);
    }
    reading.file.image_of_id = std::move(images_);  // none in a list of results
    reading.file.images_by_id = by_id.size();
  }

 private:
  size_t entries_ = 0;
  std::unordered_map<std::string, std::string> images_;  // id -> file name, or the id where there is none
  std::unordered_set<std::string> unnamed_;              // ids of those
  std::vector<Found> captions_;
};

}  // namespace

void parse_document(std::string_view text, Reading& reading) {
  Coco coco;
  Karpathy karpathy;
  read_json_document(text, reading.name, [&](JsonSection section, const JsonEntry& entry) {
    if (section != JsonSection::images)
      coco.caption(entry, section == JsonSection::results, reading);
    else if (entry.has_sentences || !entry.texts.empty())
      karpathy.add(entry, reading);
    else
      coco.image(entry);
  });
  if (karpathy.images() > 0)
    reading.file.report.format = "karpathy";
  else
    coco.add_to(reading);
}

std::string write_coco(const CaptionFile& file, Losses& losses) {
  using tensor::io::Json;
  lose_splits(file, losses);
  lose_numbers(file, losses);
  Json images = Json::array(), annotations = Json::array();
  std::unordered_map<std::string, int64_t> ids;
  std::unordered_set<int64_t> used;
  // Ids of names first, so that none is given away before.
  for (const Caption& caption : file.captions)
    if (const auto id = id_in_name(caption.image);
        id && !ids.contains(caption.image) && used.insert(*id).second)
      ids[caption.image] = *id;
  int64_t next = 1;
  std::unordered_set<std::string_view> written;
  for (const Caption& caption : file.captions) {
    if (!ids.contains(caption.image)) {
      while (!used.insert(next).second) ++next;
      ids[caption.image] = next;
    }
    const int64_t id = ids[caption.image];
    if (written.insert(caption.image).second)
      images.push_back(Json::object({{"id", id}, {"file_name", caption.image}}));
    annotations.push_back(
        Json::object({{"id", std::ssize(annotations.items())}, {"image_id", id}, {"caption", caption.text}}));
  }
  Json info = Json::object({{"description", "written by imgcap data convert"}});
  return Json::object({{"info", info},
                       {"licenses", Json::array()},
                       {"type", "captions"},
                       {"images", images},
                       {"annotations", annotations}})
             .dump() +
         "\n";
}

}  // namespace imgcap::formats
