// The real decoders with random weights.
#pragma once

#include <memory>

#include "autograd/ops.h"
#include "imgcap/models/decoder.h"
#include "tensor/random.h"

namespace tests {

using namespace imgcap;

inline DecoderConfig small_config(DecoderKind kind) {
  DecoderConfig config;
  config.kind = kind;
  config.vocabulary = 23;
  config.features = 6;
  config.embedding = 8;
  config.hidden = 7;
  config.attention = 5;
  config.gate = config.initial_state = kind == DecoderKind::attention;
  return config;
}

inline std::unique_ptr<Decoder> decoder_of(const DecoderConfig& config) {
  tensor::Generator generator(4);
  auto decoder = make_decoder(config, generator);
  // Sharper than fresh weights, so that what the search should find is not decided by rounding.
  for (auto& [name, parameter] : decoder->named_parameters()) {
    if (name == "embedding.weight" || name == "fc.weight") {
      Tensor& data = decoder->parameter(name).mutable_data();
      data.copy_(autograd::affine(data, name == "fc.weight" ? 12 : 2, 0).data());
    }
  }
  decoder->eval();
  return decoder;
}

inline Tensor random_features(int64_t images, int64_t places = 4, int64_t channels = 6) {
  tensor::Generator generator(6);
  Tensor features = Tensor::empty({images, places, channels});
  tensor::fill_normal(features, 0, 2, generator);
  return features;
}

}  // namespace tests
