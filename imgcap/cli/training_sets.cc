#include "imgcap/cli/training_sets.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/cli/set_files.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

using tensor::check;
using tensor::ErrorKind;

constexpr const char *kCaptions = "--captions", *kTrainList = "--train-list", *kValList = "--val-list";

// In the sets' order.
std::vector<double> weights_of(const std::vector<FileSet>& sets, const std::vector<std::string>& texts) {
  check(sets.size() > 1 || texts.empty(), ErrorKind::argument,
        "train: --set-weight is for several sets, and there is only one");
  std::vector<double> weights(sets.size(), 1);
  std::vector<bool> given(sets.size(), false);
  for (const std::string& text : texts) {
    const auto [name, weight] = parse_set_weight(text);
    const auto set =
        std::find_if(sets.begin(), sets.end(), [&](const FileSet& each) { return each.name == name; });
    check(set != sets.end(), ErrorKind::argument, "train: --set-weight {}: {} has no set {}", text, kCaptions,
          name);
    const auto at = static_cast<size_t>(set - sets.begin());
    check(!given[at], ErrorKind::argument, "train: --set-weight gives {} two weights", name);
    given[at] = true;
    weights[at] = weight;
  }
  return weights;
}

// What the photos are, found out when it is first asked for.
class Photos {
 public:
  explicit Photos(const SetRequest& request) : request_(request) {}
  const PhotoNames& operator()() {
    if (!known_) known_ = known_photos(request_.images, request_.cache);
    return *known_;
  }

 private:
  const SetRequest& request_;
  std::optional<PhotoNames> known_;
};

TrainingSplit split(const FileSet& set, const SetRequest& r, Photos& photos) {
  PhotosBySplit own;
  const std::vector<CaptionsByPhoto> captions = load_captions(set.of(kCaptions), &own);
  const std::vector<std::string> train_lists = set.of(kTrainList), val_lists = set.of(kValList);
  if (!train_lists.empty() || !val_lists.empty()) return split_by_lists(captions, train_lists, val_lists);
  if (r.by_caption) return split_captions(captions, photos(), r.seed);
  if (r.resume) {
    const auto [train, val] = saved_lists(r.out, set.name);
    return split_by_lists(captions, {train}, {val});
  }
  if (!own.empty()) return split_as_captions_say(captions, own);
  return split_photos(captions, photos(), r.seed);
}

const std::vector<std::string>& photos_in(const TrainingSplit& split, Part part) {
  return part == Part::training ? split.train : split.val;
}
const std::vector<CaptionsByPhoto>& captions_in(const TrainingSplit& split, Part part) {
  return part == Part::training ? split.train_captions : split.val_captions;
}

// By what a photo is, not by how its set calls it: whoever validates on what another set trains on would not
// notice.
void expect_apart(const std::vector<TrainingSet>& sets, const PhotoNames& photos) {
  std::vector<std::vector<size_t>> trained_by(photos.keys().size());
  for (size_t s = 0; s < sets.size(); ++s)
    for (const std::string& name : sets[s].split.train)
      if (const auto photo = photos.find(name)) trained_by[static_cast<size_t>(*photo)].push_back(s);
  for (size_t s = 0; s < sets.size(); ++s)
    for (const std::string& name : sets[s].split.val)
      if (const auto photo = photos.find(name))
        for (const size_t other : trained_by[static_cast<size_t>(*photo)])
          check(
              other == s, ErrorKind::data,
              "train: the photo \"{}\" is in the training part of the set {}, and in the validation part of the "
              "set {}",
              printable(name), sets[other].name, sets[s].name);
}

}  // namespace

std::vector<TrainingSet> load_training_sets(const SetRequest& r) {
  const std::vector<FileSet> all = files_by_set(
      "train", {kCaptions, r.captions}, {{kTrainList, r.train_lists}, {kValList, r.val_lists}}, r.language);
  expect_languages("train", kCaptions, all);
  const std::vector<double> weights = weights_of(all, r.weights);
  Photos photos(r);
  std::vector<TrainingSet> sets;
  for (size_t s = 0; s < all.size(); ++s) {
    const std::vector<std::string> lists = all[s].of(kValList);
    sets.push_back({all[s].name, all[s].language, weights[s],
                    lists.empty() ? "the validation part" : label_of(lists), split(all[s], r, photos)});
  }
  if (sets.size() > 1) expect_apart(sets, photos());
  return sets;
}

std::vector<std::string> photos_of(const std::vector<TrainingSet>& sets, Part part) {
  std::vector<std::string> all;
  for (const TrainingSet& set : sets) {
    const std::vector<std::string>& own = photos_in(set.split, part);
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

Dataset dataset_of(const std::vector<TrainingSet>& sets, Part part, const FeatureCache& features,
                   const Vocabulary& vocabulary, int64_t max_tokens) {
  std::vector<Dataset> parts;
  std::vector<Dataset::Set> joined;
  for (const TrainingSet& set : sets) {
    parts.push_back(make_dataset(captions_in(set.split, part), photos_in(set.split, part), features,
                                 vocabulary, max_tokens, set.language));
    if (part == Part::validation) parts.back().split = set.validation;
    report_without_captions(parts.back());
    joined.push_back({set.name, set.weight});
  }
  return join_sets(std::move(parts), joined);
}

Dataset for_self_critical(Dataset training, int64_t min_references) {
  const auto all = std::ssize(training.photos);
  const auto single = std::count_if(training.photos.begin(), training.photos.end(),
                                    [](const Dataset::Photo& photo) { return photo.captions.size() == 1; });
  training = with_captions(min_references, std::move(training));
  if (const auto left_out = all - std::ssize(training.photos); left_out > 0)
    tell(tensor::format("self-critical: {} of {} photos have fewer than {} references and are left out\n",
                        left_out, all, min_references));
  else if (single > 0)
    tell(tensor::format(
        "self-critical: {} of {} photos have one reference and are kept: their reward is CIDEr with "
        "it alone (--min-references 2 leaves them out)\n",
        single, all));
  return training;
}

std::vector<LanguageCaptions> texts_of(const std::vector<TrainingSet>& sets, bool both_parts) {
  std::vector<LanguageCaptions> all;
  const auto add = [&](Part part) {
    for (const TrainingSet& set : sets) {
      auto own = std::find_if(all.begin(), all.end(),
                              [&](const LanguageCaptions& each) { return each.language == set.language; });
      if (own == all.end()) own = all.insert(own, {set.language, default_rules(set.language), {}});
      std::vector<std::string> texts = texts_of(captions_in(set.split, part), photos_in(set.split, part));
      own->captions.insert(own->captions.end(), std::make_move_iterator(texts.begin()),
                           std::make_move_iterator(texts.end()));
    }
  };
  add(Part::training);
  if (both_parts) add(Part::validation);
  return all;
}

}  // namespace imgcap::cli
