// The features that a training run is made of.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "imgcap/training/feature_loading.h"

namespace imgcap {

// What training takes turns with, by --augment: the photos (unless it is `original`) and changed ones.
std::vector<Augmentation> training_views(Augmentation::Kind augment, int64_t views, uint64_t seed);

struct TrainingFeatures {
  FeatureCache plain;                  // of photos as they are: all, or, beside `moved`, the validation's
  std::vector<FeatureCache> training;  // further views of the training photos
  std::vector<FeatureCache> changed_validation;  // what is validated on in place of `plain`, in turn
  std::optional<LoadedEncoder> moved;            // the run's encoder in place of the given one
  bool plain_is_a_view = true;                   // of the training photos

  // A cache that has the training photos, and what training takes turns with.
  const FeatureCache& of_training() const { return moved ? training.front() : plain; }
  std::vector<const FeatureCache*> views() const;
  std::vector<const FeatureCache*> validation_views() const;
};

struct FeatureRequest {
  // The cache of photos as they are, beside which other caches are; the run's folder.
  std::string encoder_name, cache, out;
  std::vector<std::string> images, train, val;
  std::vector<Augmentation> views;
  int left_out_stages =
      0;  // over 0: what the encoder's last stages take, in place of features (EncodeOptions)
  bool change_validation = false;  // validation photos are changed, too
  // The encoder's batch norm is in training mode while training photos are encoded. Photos
  // are normalised by the statistics of their batch, and the running ones, with which the model validates and
  // captions, move. Such features and the moved encoder belong to the run and are kept in its folder.
  bool batch_statistics = false;
};

// Loads or makes them, one cache after the other (load_or_encode_features): errors and listener are its.
TrainingFeatures load_training_features(const LoadedEncoder& encoder, const FeatureRequest& request,
                                        const FeatureListener& listener);

}  // namespace imgcap
