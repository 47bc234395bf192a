// A checkpoint: one safetensors file that holds the model, what it needs to caption a photo, and, from a
// training run, what it needs to go on to the bit.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "imgcap/data/transform.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/models/frozen_decoder.h"
#include "imgcap/training/confidence.h"
#include "nn/module.h"

namespace imgcap {

struct Checkpoint {
  DecoderConfig decoder;
  nn::StateDict weights;  // of the decoder, in f32
  StoredWeights stored;   // the same as the file has them, where they were asked for in its place
  std::vector<std::string> vocabulary;
  // Of the vocabulary's languages, by code; where they are missing, default_rules().
  std::map<std::string, TextRules> text_rules;
  // Its language of captions that name none; empty where they have no names.
  std::string language;
  std::string encoder;  // its name: "efficientnet_lite2"
  // Stands for weights and preprocessing; a cache with another key does not fit. Where the encoder has been
  // trained: of the weights that its training began with.
  std::string encoder_key;
  // Of an encoder that has been trained; else none; in f32 but beside `stored`.
  nn::StateDict encoder_weights;
  // The key of the weights that its training began with, where those that it left as they were may be missing
  // (own_encoder.h); else empty.
  std::string encoder_base;
  Preprocessing preprocessing;
  std::map<std::string, std::string> notes;  // free text: scores, recipe, data
  Confidences confidence;                    // of the languages for which it has been fitted
  // Of a training run only.
  std::string training;                                    // JSON: counters, generators, schedule, options
  std::map<std::string, tensor::Tensor> training_tensors;  // optimiser, averages

  // A decoder with these weights. A data error names one that is missing or not finite.
  std::unique_ptr<Decoder> make_decoder() const;
  // One for captions alone, of the stored weights. The same errors.
  std::unique_ptr<Decoder> make_frozen_decoder(tensor::Device device = {}) const;
  Vocabulary make_vocabulary() const { return Vocabulary(vocabulary, text_rules); }
};

// How weights are stored. i8: matrices of 2^14 elements and more as rows of 8 bits with an f16 scale per row.
// An encoder's convolution is such a matrix, with a row per output channel. Its vectors, batch norm's, stay f32.
enum class WeightFormat { f32, f16, i8 };

// How weights are read: widened, or as they are stored, where they are views of the mapped file. Without the
// tensors of a training run then, which captions have no use for.
enum class WeightsAs { f32, stored };

// Written as a whole or not at all. io errors name the file.
void save_checkpoint(const std::filesystem::path& file, const Checkpoint& checkpoint,
                     WeightFormat format = WeightFormat::f32);

// The file `from` as `to`, with these confidences in place of its own of their languages; all else stays as it is
// stored. Errors: io, data.
void copy_with_confidence(const std::filesystem::path& from, const std::filesystem::path& to,
                          const Confidences& confidence);

// Errors: data (names the file and what is missing or does not fit: vocabulary and decoder of different
// sizes, ...).
Checkpoint load_checkpoint(const std::filesystem::path& file, WeightsAs form = WeightsAs::f32);

}  // namespace imgcap
