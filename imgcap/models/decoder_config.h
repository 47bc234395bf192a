// What a decoder is made of: kept in every checkpoint.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "imgcap/settings/names.h"

namespace imgcap {

enum class DecoderKind { attention, plain };
constexpr std::array<const char*, 2> names_of(DecoderKind) { return {"attention", "plain"}; }

DecoderKind decoder_kind(const std::string& name);  // argument error for another name

// The defaults are the original's widths. What the original does not have is off.
struct DecoderConfig {
  DecoderKind kind = DecoderKind::attention;
  int64_t vocabulary = 4096;
  int64_t features = 2048;  // channels of the encoder's map
  int64_t embedding = 1024;
  int64_t hidden = 1024;
  int64_t attention = 1024;  // width of the attention layer (attention only)
  int64_t layers = 2;
  double layer_dropout = 0.5;    // between LSTM layers
  double embedding_dropout = 0;  // on word embeddings
  double output_dropout = 0;     // on the top layer's output, before the vocabulary layer
  bool gate = false;             // context times sigmoid(W h + b) (Xu et al. 2015, 4.2.1; attention only)
  bool initial_state = false;    // h0, c0 = tanh(W mean feature + b) in place of zeros (attention only)
  // Step 0 is fed tanh(W mean feature + b) in place of the head's unbounded output, which can saturate the
  // LSTM for good (plain only).
  bool tanh_image = false;
  bool tie_weights = false;  // the vocabulary layer shares the embedding's weight (needs embedding == hidden)

  bool operator==(const DecoderConfig&) const = default;
};

// Errors: argument (names the setting: out of its bounds (decoder_settings.h), or beside one that it does not
// go with).
void validate(const DecoderConfig& config);

// A JSON object with the members' names; from_json refuses unknown keys, wrong types and values out of range.
std::string to_json(const DecoderConfig& config);
DecoderConfig decoder_config_from_json(const std::string& text);

}  // namespace imgcap
