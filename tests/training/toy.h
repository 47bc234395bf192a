// A data set and a model that train in milliseconds.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "imgcap/training/trainer.h"
#include "tensor/kernels.h"
#include "tensor/random.h"

namespace imgcap {

// Eight photos of made-up features whose captions say which they are.
struct Toy {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> captions;
  FeatureCache features = make_features();
  Vocabulary vocabulary = make_vocabulary();
  Dataset data = make_dataset({captions}, names, features, vocabulary);
  Checkpoint info;

  explicit Toy(DecoderKind kind = DecoderKind::attention) {
    info.decoder.kind = kind;
    info.decoder.vocabulary = vocabulary.size();
    info.decoder.features = 12;
    info.decoder.embedding = info.decoder.hidden = info.decoder.attention = 24;
    info.decoder.layers = 2;
    info.decoder.layer_dropout = 0.2;
    info.vocabulary = vocabulary.tokens();
    info.encoder = "none";
    data.split = "toy";
    info.encoder_key = features.key();
  }

  FeatureCache make_features() {
    const std::vector<std::string> colours = {"red", "blue", "green", "black"}, things = {"dog", "ball"};
    for (const std::string& colour : colours)
      for (const std::string& thing : things) {
        names.push_back(colour + "_" + thing + ".jpg");
        captions[names.back()] = {"a " + colour + " " + thing + " .",
                                  "the " + thing + " is " + colour + " ."};
      }
    tensor::Generator generator(7);
    Tensor values = Tensor::empty({8, 4, 12});
    tensor::fill_normal(values, 0, 1, generator);
    return FeatureCache(names, values.to(tensor::DType::f16), "toy");
  }

  Vocabulary make_vocabulary() const {
    std::vector<std::string> texts;
    for (const auto& [name, some] : captions) texts.insert(texts.end(), some.begin(), some.end());
    return Vocabulary::build(texts, {0, 1, false});
  }
};

inline TrainOptions toy_options() {
  TrainOptions options;
  options.epochs = 4;
  options.batch_photos = 3;
  options.lr = 1e-2;
  options.average_decay = 0.9;
  options.label_smoothing = 0.1;
  options.teacher_forcing = 0.8;
  options.schedule = Schedule::cosine;
  options.validation.beam = 2;
  options.validation.max_words = 8;
  return options;
}

inline std::map<std::string, std::vector<float>> weights_of(Decoder& decoder) {
  std::map<std::string, std::vector<float>> all;
  for (const auto& [name, value] : decoder.state_dict()) all[name] = value.to_vector<float>();
  return all;
}

}  // namespace imgcap
