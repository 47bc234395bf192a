#include "imgcap/cli/training_captions.h"

#include <iterator>

#include "imgcap/cli/data_options.h"
#include "imgcap/cli/set_files.h"
#include "imgcap/cli/training_split.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

std::vector<std::string> all_names(const CaptionsByPhoto& captions) {
  std::vector<std::string> names;
  for (const auto& [name, texts] : captions) names.push_back(name);
  return names;
}

}  // namespace

void TrainingCaptions::add_options(Verb& verb) {
  const Option training = verb.option(
      "--training", files,
      "Caption files that the model was trained on (of a file with splits: train): prints the share of captions "
      "that stand in them word for word, in the scores' words");
  verb.option("--training-list", list, "The training photos, a name per line, where the files have more")
      .needs(training);
}

std::optional<std::vector<std::string>> TrainingCaptions::texts() const {
  if (files.empty()) return std::nullopt;
  std::vector<std::string> listed, all;
  if (!list.empty()) listed = read_image_list(list).names;
  for (const std::string& file : without_sets(files)) {
    PhotosBySplit splits;
    const std::vector<CaptionsByPhoto> captions = load_captions({file}, &splits);
    std::vector<std::string> names = listed;
    if (list.empty() && splits.empty()) names = all_names(captions.front());
    if (list.empty())
      for (const auto& [split, photos] : splits)
        if (is_training_split(split)) names.insert(names.end(), photos.begin(), photos.end());
    std::vector<std::string> texts = texts_of(captions, names);
    tensor::check(!texts.empty(), tensor::ErrorKind::data, "{}: it has no captions of training photos{}",
                  file, list.empty() ? " (no split train)" : " of " + list);
    all.insert(all.end(), std::make_move_iterator(texts.begin()), std::make_move_iterator(texts.end()));
  }
  return all;
}

}  // namespace imgcap::cli
