// Models and a batch so small that a training step of them takes milliseconds, on any device.
#pragma once

#include <vector>

#include "imgcap/models/decoder.h"
#include "tensor/random.h"

namespace imgcap {

inline constexpr int64_t kImages = 3, kPlaces = 4, kFeatures = 8, kWords = 17;

inline DecoderConfig small_config(DecoderKind kind) {
  DecoderConfig config;
  config.kind = kind;
  config.vocabulary = kWords;
  config.features = kFeatures;
  config.embedding = 6;
  config.hidden = 5;
  config.attention = 7;
  config.layer_dropout = 0;
  config.embedding_dropout = 0.2;
  config.output_dropout = 0.3;
  config.gate = config.initial_state = kind == DecoderKind::attention;
  return config;
}

inline tensor::Tensor features_on(const tensor::Device& device) {
  tensor::Generator generator(7);
  tensor::Tensor features = tensor::Tensor::empty({kImages, kPlaces, kFeatures});
  tensor::fill_normal(features, 0, 1, generator);
  return features.to(device);
}

// The captions' weights from the longest on.
inline CaptionBatch batch_on(const tensor::Device& device,
                             const std::vector<double>& weights = {1, 1, 1, 1}) {
  std::vector<CaptionRow> rows = {{0, {kSos, 5, 6, 7, kEos}, weights.at(1)},
                                  {1, {kSos, 8, kEos}, weights.at(3)},
                                  {2, {kSos, 9, 10, kEos}, weights.at(2)},
                                  {0, {kSos, 11, 12, 13, 14, kEos}, weights.at(0)}};
  return pack(features_on(device), rows);
}

}  // namespace imgcap
