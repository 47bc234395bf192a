// The table of a decoder's settings.
#pragma once

#include "imgcap/models/decoder_config.h"
#include "imgcap/settings/setting.h"

namespace imgcap {

constexpr Bounds layer_size() { return {.low = 1, .high = 1 << 24, .wanted = "positive"}; }
constexpr const char* kNoDropout = "a dropout of {} is not in [0, 1)";

template <>
inline constexpr auto kSettings<DecoderConfig> =
    Table{"model",
          {"the decoder's configuration is not a JSON object with a kind",
           "setting '{}' of the decoder's configuration has the wrong type",
           "the decoder's configuration has settings this version does not know"},
          Setting{"kind", "--model", &DecoderConfig::kind, anything(), "attention or plain",
                  refused_as("{} is neither attention nor plain")},
          Setting{"vocabulary", no_flag, &DecoderConfig::vocabulary, layer_size()},
          Setting{"features", no_flag, &DecoderConfig::features, layer_size()},
          Setting{"embedding", "--embedding", &DecoderConfig::embedding, layer_size(),
                  "Width of the word embedding"},
          Setting{"hidden", "--hidden", &DecoderConfig::hidden, layer_size(), "Width of the LSTM"},
          Setting{"attention", "--attention-width", &DecoderConfig::attention, layer_size(),
                  "Width of the attention layer"},
          Setting{"layers", "--layers", &DecoderConfig::layers, between(1, 16), "LSTM layers",
                  refused_as("{} layers; 1 to 16 are possible")},
          Setting{"layer_dropout", "--layer-dropout", &DecoderConfig::layer_dropout, share_below_one(),
                  "Dropout between LSTM layers", refused_as(kNoDropout)},
          Setting{"embedding_dropout", "--embedding-dropout", &DecoderConfig::embedding_dropout,
                  share_below_one(), "Dropout on word embeddings", refused_as(kNoDropout)},
          Setting{"output_dropout", "--output-dropout", &DecoderConfig::output_dropout, share_below_one(),
                  "Dropout before the vocabulary layer", refused_as(kNoDropout)},
          Setting{"gate", "--gate", &DecoderConfig::gate, anything(), "A gate on the attention's context"},
          Setting{"initial_state", "--initial-state", &DecoderConfig::initial_state, anything(),
                  "Initial state from the mean feature"},
          Setting{"tanh_image", "--tanh-image", &DecoderConfig::tanh_image, anything(),
                  "The image as tanh of one linear layer (plain model)"},
          Setting{"tie_weights", "--tie-weights", &DecoderConfig::tie_weights, anything(),
                  "One matrix for embedding and vocabulary layer"}};

}  // namespace imgcap
