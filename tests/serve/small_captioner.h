// Captioners of random weights that caption in no time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "imgcap/captioner.h"
#include "imgcap/data/image_writer.h"

namespace tests {

struct SmallModel {
  imgcap::DecoderKind kind = imgcap::DecoderKind::attention;
  bool languages = false;  // en, ar
  uint64_t seed = 3;
};

inline std::shared_ptr<const imgcap::Captioner> make_small_captioner(const SmallModel& model = {}) {
  imgcap::Checkpoint info;
  info.vocabulary = {"<unk>", "<pad>", "<sos>", "<eos>"};
  const auto add_words = [&](const char* letter) {
    info.vocabulary.push_back("  ");
    for (int i = 0; i < 12; ++i) info.vocabulary.push_back(tensor::format(" {}{}", letter, i));
  };
  if (model.languages) {
    info.vocabulary.push_back("<en>");
    add_words("w");
    info.vocabulary.push_back("<ar>");
    add_words("k");
    info.language = "en";
  } else {
    add_words("w");
  }
  info.encoder = "resnet18";
  imgcap::DecoderConfig& config = info.decoder;
  config.kind = model.kind;
  config.vocabulary = static_cast<int64_t>(info.vocabulary.size());
  config.features = 512;
  config.embedding = config.hidden = config.attention = 16;
  config.initial_state = model.kind == imgcap::DecoderKind::attention;
  config.layers = 1;
  config.layer_dropout = 0;
  tensor::Generator generator(model.seed);
  std::unique_ptr<imgcap::Decoder> decoder = make_decoder(config, generator);
  tensor::Tensor& last = decoder->parameter("fc.weight").mutable_data();
  float* weight = last.mutable_data<float>();
  for (int64_t i = 0; i < last.numel(); ++i) weight[i] *= 12;
  decoder->eval();
  imgcap::LoadedEncoder encoder;
  tensor::default_generator().set_state(5, 0);
  encoder.encoder = imgcap::make_encoder("resnet18");
  encoder.encoder->freeze();
  encoder.encoder->compile();
  encoder.preprocessing.height = encoder.preprocessing.width = 32;
  imgcap::Vocabulary vocabulary = info.make_vocabulary();
  return std::make_shared<const imgcap::Captioner>(
      imgcap::LoadedModel{std::move(info), std::move(decoder), std::move(vocabulary), std::move(encoder)});
}

// They are made once.
inline std::shared_ptr<const imgcap::Captioner> small_captioner() {
  static const auto captioner = make_small_captioner();
  return captioner;
}
inline std::shared_ptr<const imgcap::Captioner> plain_captioner() {
  static const auto captioner = make_small_captioner({.kind = imgcap::DecoderKind::plain, .seed = 4});
  return captioner;
}
inline std::shared_ptr<const imgcap::Captioner> two_languages() {
  static const auto captioner = make_small_captioner({.languages = true, .seed = 5});
  return captioner;
}

inline imgcap::Image small_photo(int number, int64_t height = 40, int64_t width = 30) {
  imgcap::Image photo(height, width);
  for (size_t k = 0; k < photo.pixels.size(); ++k)
    photo.pixels[k] =
        static_cast<uint8_t>(k * static_cast<size_t>(2 * number + 3) / 7 + 40 * static_cast<size_t>(number));
  return photo;
}

inline std::string small_png(int number, int64_t height = 40, int64_t width = 30) {
  return imgcap::encode_png(small_photo(number, height, width));
}

}  // namespace tests
