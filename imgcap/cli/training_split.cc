#include "imgcap/cli/training_split.h"

#include <filesystem>

#include "imgcap/cli/cli.h"
#include "imgcap/data/captions.h"
#include "imgcap/data/splits.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {
namespace {

std::vector<std::string> photos_of(const CaptionsByPhoto& captions) {
  std::vector<std::string> names;
  for (const auto& entry : captions) names.push_back(entry.first);
  return names;
}

}  // namespace

TrainingSplit split_photos(const CaptionsByPhoto& captions, const std::string& train_list,
                           const std::string& val_list, uint64_t seed) {
  tensor::check(train_list.empty() == val_list.empty(), tensor::ErrorKind::argument,
                "train: --train-list and --val-list come together");
  if (!train_list.empty())
    return {
        read_image_list(train_list).names, read_image_list(val_list).names, {}, captions, captions, false};
  ImageSplit parts = split_by_image(photos_of(captions), seed);
  return {std::move(parts.train), std::move(parts.val), std::move(parts.test), captions, captions, true};
}

TrainingSplit split_captions(const CaptionsByPhoto& captions, uint64_t seed) {
  std::vector<std::pair<const std::string*, const std::string*>> all;
  for (const auto& [name, texts] : captions)
    for (const std::string& text : texts) all.emplace_back(&name, &text);
  TrainingSplit split;
  const CaptionSplit parts = split_by_caption(all.size(), seed);
  const auto take = [&](const std::vector<size_t>& positions, CaptionsByPhoto& to) {
    for (const size_t i : positions) to[*all[i].first].push_back(*all[i].second);
    return photos_of(to);
  };
  split.train = take(parts.train, split.train_captions);
  split.val = take(parts.val, split.val_captions);
  return split;
}

void save_lists(const TrainingSplit& split, const std::string& folder) {
  const auto save = [&](const char* name, const std::vector<std::string>& photos) {
    std::string lines;
    for (const std::string& photo : photos) lines += photo + "\n";
    tensor::io::write_file_atomically(folder + "/" + name, lines);
  };
  save("train.txt", split.train);
  save("val.txt", split.val);
  save("test.txt", split.test);
  print(tensor::format("split by seed: {} photos to train on, {} to validate, {} to test; lists in {}\n",
                       split.train.size(), split.val.size(), split.test.size(), folder));
}

std::pair<std::string, std::string> saved_lists(const std::string& folder) {
  std::pair<std::string, std::string> files{folder + "/train.txt", folder + "/val.txt"};
  tensor::check(std::filesystem::exists(files.first) && std::filesystem::exists(files.second),
                tensor::ErrorKind::argument,
                "{}: it has no lists of its own, train.txt and val.txt; --resume needs the --train-list and "
                "--val-list that it was begun with",
                folder);
  return files;
}

std::vector<std::string> texts_of(const CaptionsByPhoto& captions, const std::vector<std::string>& photos) {
  std::vector<std::string> texts;
  for (const std::string& name : photos)
    if (const auto found = captions.find(name); found != captions.end())
      texts.insert(texts.end(), found->second.begin(), found->second.end());
  return texts;
}

}  // namespace imgcap::cli
