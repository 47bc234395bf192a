// Decoders of random weights that caption in no time, and an encoder that is not the one in the box.
#pragma once

#include <set>
#include <string>

#include "imgcap/training/checkpoint.h"
#include "tensor/io/safetensors.h"
#include "tensor/random.h"
#include "tests/cli/training_run.h"

namespace tests {

// For the encoder in the box. Its words are of captions about bears and planes, so that scores are above 0;
// one of them is an attack. `sharpness` multiplies the vocabulary layer.
inline void write_small_model(const std::string& file, imgcap::DecoderKind kind, uint64_t seed = 11,
                              double sharpness = 1) {
  imgcap::Checkpoint model;
  model.vocabulary = {"<unk>", "<pad>", "<sos>", "<eos>", "  ", " a", " bear", " plane", " .", " <script>"};
  model.decoder.kind = kind;
  model.decoder.vocabulary = static_cast<int64_t>(model.vocabulary.size());
  model.decoder.features = 1280;
  model.decoder.embedding = model.decoder.hidden = model.decoder.attention = 8;
  model.decoder.layers = 1;
  model.decoder.layer_dropout = 0;
  model.encoder = "efficientnet_lite2";
  model.encoder_key = "any";
  model.preprocessing = imgcap::efficientnet_lite_preprocessing();
  model.notes = {{"epoch", "3"}, {"validation_cider", "0.25"}};
  tensor::Generator generator(seed);
  model.weights = imgcap::make_decoder(model.decoder, generator)->state_dict();
  float* weight = model.weights.at("fc.weight").mutable_data<float>();
  for (int64_t i = 0; i < model.weights.at("fc.weight").numel(); ++i)
    weight[i] *= static_cast<float>(sharpness);
  imgcap::save_checkpoint(file, model);
}

// The attention model in the box, without the confidence that is fitted to it.
inline void write_bare_model(const std::string& file) {
  imgcap::Checkpoint model = imgcap::load_checkpoint(assets() + "/model/attention.safetensors");
  model.confidence.clear();
  imgcap::save_checkpoint(file, model, imgcap::WeightFormat::i8);
}

// The same, as a model that knows no languages: its captions begin with <sos>, and go on in English.
inline void write_model_without_languages(const std::string& file) {
  imgcap::Checkpoint model = imgcap::load_checkpoint(assets() + "/model/attention.safetensors");
  const imgcap::Language english = model.make_vocabulary().language("en");
  model.confidence.clear(), model.text_rules.clear(), model.language.clear();
  std::set<std::string> seen = {"<en>", "<ar>"};  // the two languages' words may be the same
  for (std::string& token : model.vocabulary)
    while (!seen.insert(token).second) token = " " + token + "?";
  tensor::Tensor& embedding = model.weights.at("embedding.weight");
  embedding.slice(0, 2, 3).copy_(embedding.slice(0, english.range.start, english.range.start + 1));
  imgcap::save_checkpoint(file, model, imgcap::WeightFormat::i8);
}

// The encoder in the box, but its last convolution gives something else.
inline void write_other_encoder(const std::string& file) {
  auto weights = tensor::io::read_safetensors(encoder_in_the_box()).tensors;
  tensor::Tensor& last = weights.at("_conv_head.weight");
  last = last.to(tensor::DType::f32).contiguous().clone();
  float* values = last.mutable_data<float>();
  for (int64_t i = 0; i < last.numel(); ++i) values[i] *= i % 3 == 0 ? 1.5f : -0.5f;
  tensor::io::write_safetensors(file, weights, {});
}

}  // namespace tests
