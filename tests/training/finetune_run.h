// A run that trains the encoder's last stage, too, with the encoder and photos in the box, made small.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "imgcap/training/finetune.h"
#include "imgcap/training/trainer.h"
#include "tests/training/small_encoder.h"

namespace imgcap {

inline const std::vector<std::string> kPhotos = {"coco_000000000285.jpg", "coco_000000000785.jpg",
                                                 "coco_000000000872.jpg", "coco_000000000885.jpg"};

inline ImageSource photos_in_the_box() { return ImageSource({tests::source_dir() / "assets/photos"}); }

inline FeatureCache encode(const LoadedEncoder& encoder, const ImageSource& source) {
  std::vector<int64_t> which;
  for (const std::string& name : kPhotos) which.push_back(*source.find(name));
  EncodeReport report;
  return encode_photos(encoder, source, which, report);
}

inline TrainOptions finetune_options() {
  TrainOptions options;
  options.epochs = 2;
  options.batch_photos = 2;
  options.lr = 1e-2;
  options.finetune = 1;
  options.finetune_lr = 1e-3;
  options.schedule = Schedule::cosine;
  options.average_decay = 0.5;
  options.validation.beam = 2;
  options.validation.max_words = 6;
  return options;
}

// A run with all that its trainer refers to.
struct FinetuneRun {
  ImageSource source = photos_in_the_box();
  LoadedEncoder encoder = small_encoder();
  FeatureCache features = encode(encoder, source);
  std::map<std::string, std::vector<std::string>> captions = {
      {kPhotos[0], {"a bear stands", "a brown bear"}},
      {kPhotos[1], {"a woman skis", "snow and a woman"}},
      {kPhotos[2], {"two men play", "men play a game"}},
      {kPhotos[3], {"a man plays", "a game of a man"}}};
  Vocabulary vocabulary = make_vocabulary();
  Dataset data = make_dataset({captions}, kPhotos, features, vocabulary);
  TrainedEncoder trained{encoder, source, 1};
  Trainer trainer;

  explicit FinetuneRun(const std::filesystem::path& folder, const TrainOptions& options = finetune_options(),
                       const nn::StateDict& decoder_weights = {}, const Device& device = {})
      : trainer(info(decoder_weights), features, data, data, options, folder, {}, &trained, device) {}

  Vocabulary make_vocabulary() const {
    std::vector<std::string> texts;
    for (const auto& [name, some] : captions) texts.insert(texts.end(), some.begin(), some.end());
    return Vocabulary::build(texts, {0, 1, false});
  }
  Checkpoint info(const nn::StateDict& decoder_weights = {}) const {
    Checkpoint info;
    info.weights = decoder_weights;
    info.decoder.vocabulary = vocabulary.size();
    info.decoder.features = features.channels();
    info.decoder.embedding = info.decoder.hidden = info.decoder.attention = 16;
    info.vocabulary = vocabulary.tokens();
    info.encoder = kEncoder;
    info.encoder_key = encoder.key;
    info.preprocessing = encoder.preprocessing;
    return info;
  }
};

}  // namespace imgcap
