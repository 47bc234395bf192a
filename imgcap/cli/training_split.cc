#include "imgcap/cli/training_split.h"

#include <filesystem>
#include <iterator>
#include <set>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/data/captions.h"
#include "imgcap/data/splits.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {
namespace {

// The captions of photos that are there, by file; a photo has one name, the one of the first file that has
// it.
std::vector<CaptionsByPhoto> of_photos(const std::vector<CaptionsByPhoto>& captions,
                                       const PhotoNames& photos) {
  std::vector<std::string> names(photos.keys().size());
  std::vector<CaptionsByPhoto> all;
  for (const CaptionsByPhoto& file : captions) {
    NamesOfFile images(photos, "captions");
    CaptionsByPhoto& kept = all.emplace_back();
    for (const auto& [name, texts] : file)
      if (const auto photo = images.find(name)) {
        std::string& own = names[static_cast<size_t>(*photo)];
        if (own.empty()) own = name;
        kept[own] = texts;
      }
  }
  return all;
}

std::vector<std::string> names_in(const std::vector<CaptionsByPhoto>& captions) {
  std::set<std::string> names;
  for (const CaptionsByPhoto& file : captions)
    for (const auto& [name, texts] : file) names.insert(name);
  return {names.begin(), names.end()};
}

std::string list_in(const std::string& folder, const std::string& set, const char* name) {
  return folder + "/" + (set.empty() ? "" : set + ".") + name;
}

}  // namespace

TrainingSplit split_by_lists(const std::vector<CaptionsByPhoto>& captions,
                             const std::vector<std::string>& train_lists,
                             const std::vector<std::string>& val_lists) {
  tensor::check(!train_lists.empty() && !val_lists.empty(), tensor::ErrorKind::argument,
                "train: --train-list and --val-list come together");
  return {names_in_lists(train_lists), names_in_lists(val_lists), {}, captions, captions, false};
}

bool is_training_split(std::string_view name) { return name == "train" || name == "restval"; }

TrainingSplit split_as_captions_say(const std::vector<CaptionsByPhoto>& captions,
                                    const std::map<std::string, std::vector<std::string>>& splits) {
  TrainingSplit split;
  std::string known;
  for (const auto& [name, photos] : splits) {
    known += (known.empty() ? "" : ", ") + printable(name);
    const bool train = is_training_split(name), test = name == "test";
    const bool val = name == "val" || name == "valid" || name == "validation" || name == "dev";
    if (!train && !val && !test) continue;
    std::vector<std::string>& part = train ? split.train : val ? split.val : split.test;
    part.insert(part.end(), photos.begin(), photos.end());
  }
  tensor::check(!split.train.empty() && !split.val.empty(), tensor::ErrorKind::argument,
                "train: the captions have the splits {}, and a run needs train and val; name your own by "
                "--train-list and --val-list",
                known);
  split.train_captions = split.val_captions = captions;
  split.from_captions = true;
  return split;
}

TrainingSplit split_photos(const std::vector<CaptionsByPhoto>& captions, const PhotoNames& photos,
                           uint64_t seed) {
  const std::vector<CaptionsByPhoto> there = of_photos(captions, photos);
  ImageSplit parts = split_by_image(names_in(there), seed);
  return {std::move(parts.train), std::move(parts.val), std::move(parts.test), there, there, true};
}

TrainingSplit split_captions(const std::vector<CaptionsByPhoto>& captions, const PhotoNames& photos,
                             uint64_t seed) {
  const std::vector<CaptionsByPhoto> there = of_photos(captions, photos);
  struct Place {
    size_t file;
    const std::string *name, *text;
  };
  std::vector<Place> all;
  for (const std::string& name : names_in(there))
    for (size_t file = 0; file < there.size(); ++file)
      if (const auto found = there[file].find(name); found != there[file].end())
        for (const std::string& text : found->second) all.push_back({file, &found->first, &text});
  TrainingSplit split;
  const CaptionSplit parts = split_by_caption(all.size(), seed);
  const auto take = [&](const std::vector<size_t>& positions, std::vector<CaptionsByPhoto>& to) {
    to.resize(there.size());
    for (const size_t i : positions) to[all[i].file][*all[i].name].push_back(*all[i].text);
    return names_in(to);
  };
  split.train = take(parts.train, split.train_captions);
  split.val = take(parts.val, split.val_captions);
  return split;
}

void save_lists(const TrainingSplit& split, const std::string& folder, const std::string& set) {
  const auto save = [&](const char* name, const std::vector<std::string>& photos) {
    std::string lines;
    for (const std::string& photo : photos) lines += photo + "\n";
    tensor::io::write_file_atomically(list_in(folder, set, name), lines);
  };
  save("train.txt", split.train);
  save("val.txt", split.val);
  save("test.txt", split.test);
  tell(tensor::format("{}split {}: {} photos to train on, {} to validate, {} to test; lists in {}\n",
                      set.empty() ? "" : set + ": ", split.from_captions ? "as the captions say" : "by seed",
                      split.train.size(), split.val.size(), split.test.size(), folder));
}

std::pair<std::string, std::string> saved_lists(const std::string& folder, const std::string& set) {
  std::pair<std::string, std::string> files{list_in(folder, set, "train.txt"),
                                            list_in(folder, set, "val.txt")};
  tensor::check(std::filesystem::exists(files.first) && std::filesystem::exists(files.second),
                tensor::ErrorKind::argument,
                "{}: it has no lists of its own, {} and {}; --resume needs the --train-list and "
                "--val-list that it was begun with",
                folder, list_in("", set, "train.txt").substr(1), list_in("", set, "val.txt").substr(1));
  return files;
}

std::vector<std::string> texts_of(const std::vector<CaptionsByPhoto>& captions,
                                  const std::vector<std::string>& photos) {
  const PhotoNames listed(photos);
  std::vector<std::vector<std::string>> of_photo(photos.size());
  for (const CaptionsByPhoto& file : captions)
    for (const auto& [name, all] : file)
      if (const auto photo = listed.find(name)) {
        std::vector<std::string>& own = of_photo[static_cast<size_t>(*photo)];
        own.insert(own.end(), all.begin(), all.end());
      }
  std::vector<std::string> texts;
  for (std::vector<std::string>& own : of_photo)
    texts.insert(texts.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
  return texts;
}

}  // namespace imgcap::cli
