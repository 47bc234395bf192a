#include "imgcap/training/training_features.h"

#include <filesystem>
#include <set>

#include "tensor/format.h"
#include "tensor/io/safetensors.h"

namespace imgcap {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStatisticsBatch = 128;  // photos

std::string file_of(const std::string& cache, const std::string& suffix) {
  return fs::path(cache).replace_extension(suffix + ".safetensors").string();
}

std::string suffix_of(const Augmentation& view) {
  switch (view.kind) {
    case Augmentation::Kind::none:
      return "";
    case Augmentation::Kind::mirror:
      return ".mirror";
    case Augmentation::Kind::mild:
      return tensor::format(".mild{}", view.view);
    case Augmentation::Kind::original:
      return tensor::format(".original{}", view.view);
  }
  return "";
}

// The training photos by an encoder in training mode, view after view, and the encoder that has moved by
// then; from the folder where it has all of them.
void load_moved(const LoadedEncoder& encoder, const FeatureRequest& r, const FeatureListener& listener,
                TrainingFeatures& result) {
  const std::string moved = r.out + "/encoder.safetensors";
  EncodeOptions options;
  options.batch_statistics = kStatisticsBatch;
  // The encoder is written last: without it, the features are of a run that did not get so far.
  const bool whole = fs::exists(moved);
  for (const Augmentation& view : r.views) {
    const std::string file = r.out + "/training_features" + suffix_of(view) + ".safetensors";
    if (!whole) fs::remove(file);
    options.augmentation = view;
    result.training.push_back(load_or_encode_features(encoder, r.images, r.train, file, options, listener));
  }
  if (!whole) tensor::io::write_safetensors(moved, encoder.encoder->state_dict(), {});
  result.moved = load_encoder(r.encoder_name, moved);
  result.plain_is_a_view = false;
}

}  // namespace

std::vector<Augmentation> training_views(Augmentation::Kind augment, int64_t views, uint64_t seed) {
  using Kind = Augmentation::Kind;
  std::vector<Augmentation> all;
  if (augment != Kind::original) all.push_back({});
  if (augment == Kind::mirror) all.push_back({.kind = augment});
  if (augment == Kind::mild || augment == Kind::original)
    for (int64_t view = 0; view < views; ++view) all.push_back({.kind = augment, .view = view, .seed = seed});
  return all;
}

std::vector<const FeatureCache*> TrainingFeatures::views() const {
  std::vector<const FeatureCache*> all;
  if (plain_is_a_view) all.push_back(&plain);
  for (const FeatureCache& view : training) all.push_back(&view);
  return all;
}

std::vector<const FeatureCache*> TrainingFeatures::validation_views() const {
  std::vector<const FeatureCache*> all;
  for (const FeatureCache& view : changed_validation) all.push_back(&view);
  return all;
}

TrainingFeatures load_training_features(const LoadedEncoder& encoder, const FeatureRequest& r,
                                        const FeatureListener& listener) {
  const FeatureCache none({}, tensor::Tensor::empty({0, 1, 1}, tensor::DType::f16), "");
  TrainingFeatures parts{none, {}, {}, {}, true};
  EncodeOptions options;
  if (r.batch_statistics) {
    load_moved(encoder, r, listener, parts);
    parts.plain = load_or_encode_features(*parts.moved, r.images, r.val,
                                          r.out + "/validation_features.safetensors", {}, listener);
  } else {
    std::set<std::string> names(r.train.begin(), r.train.end());
    names.insert(r.val.begin(), r.val.end());
    options.left_out_stages = r.left_out_stages;
    const std::string kind = r.left_out_stages > 0 ? tensor::format(".before{}", r.left_out_stages) : "";
    const std::string plain = kind.empty() ? r.cache : file_of(r.cache, kind);
    parts.plain =
        load_or_encode_features(encoder, r.images, {names.begin(), names.end()}, plain, options, listener);
    for (const Augmentation& view : r.views) {
      if (view.kind == Augmentation::Kind::none) continue;
      options.augmentation = view;
      parts.training.push_back(load_or_encode_features(
          encoder, r.images, r.train, file_of(r.cache, kind + suffix_of(view)), options, listener));
    }
    parts.plain_is_a_view = r.views.front().kind == Augmentation::Kind::none;
  }
  if (!r.change_validation) return parts;
  for (const Augmentation& view : r.views) {
    options.augmentation = view;
    const std::string file = r.out + "/validation_features" + suffix_of(view) + ".safetensors";
    parts.changed_validation.push_back(load_or_encode_features(parts.moved ? *parts.moved : encoder, r.images,
                                                               r.val, file, options, listener));
  }
  return parts;
}

}  // namespace imgcap
