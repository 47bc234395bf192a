// Models, photos and captions for the verbs that search, and what the library finds for them.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "imgcap/decoding/beam_search.h"
#include "imgcap/training/encode.h"
#include "imgcap/training/evaluate.h"
#include "tests/cli/small_model.h"

namespace tests {

using namespace imgcap;

inline const std::string kBear = "coco_000000000285.jpg", kSkier = "coco_000000000785.jpg";

struct Scene {
  Folder folder;
  std::string photos = assets() + "/photos", model = folder / "small.safetensors",
              plain = folder / "plain.safetensors", weights = folder / "encoder.safetensors",
              captions = folder / "captions", more = folder / "more", list = folder / "list.txt",
              features = folder / "features.safetensors";
  std::map<std::string, std::vector<std::string>> references = {{kBear, {"a bear a plane", "a bear ."}},
                                                                {kSkier, {"plane a . bear"}}};
  std::vector<std::string> names = {kSkier, kBear};

  Scene() {
    // With the plain one's weights all settings below change what is found, in whatever photo.
    write_small_model(model, DecoderKind::attention, 60, 2);
    write_small_model(plain, DecoderKind::plain, 5, 4);
    write_other_encoder(weights);
    const std::string header = "image_name| comment_number| comment\n";
    write_text(captions, header + kBear + "|0|a bear a plane\n" + kSkier + "|0|plane a . bear\n");
    write_text(more, header + kBear + "|1|a bear .\n");
    write_text(list, kSkier + "\n" + kBear + "\n");
  }

  // The encoder is the other one unless `weights` is empty.
  LoadedEncoder encoder(const std::string& file) const { return load_encoder("efficientnet_lite2", file); }
  Image photo(const std::string& name) const { return read_image(photos + "/" + name); }
};

struct Model {
  Vocabulary vocabulary;
  std::unique_ptr<Decoder> decoder;

  explicit Model(const std::string& file) : Model(load_checkpoint(file)) {}
  explicit Model(const Checkpoint& checkpoint)
      : vocabulary(checkpoint.make_vocabulary()), decoder(checkpoint.make_decoder()) {
    decoder->eval();
  }
  std::string text(const Hypothesis& h) const {
    return vocabulary.decode(std::vector<int32_t>(h.words.begin(), h.words.end()));
  }
};

inline SearchOptions search_options(int64_t beam, int64_t max_words, double length_exponent) {
  SearchOptions options;
  options.beam = beam;
  options.max_words = max_words;
  options.length_exponent = length_exponent;
  return options;
}

inline BeamOptions beam_options(int64_t beam, int64_t nbest, int64_t max_words, double length_exponent) {
  BeamOptions options;
  options.beam = beam;
  options.nbest = nbest;
  options.max_words = max_words;
  options.length_exponent = length_exponent;
  return options;
}

// A photo's captions with their log-probabilities, as a line of `caption --json` has them.
using Captions = std::vector<std::pair<std::string, double>>;

inline Captions captions_of(const tensor::io::Json& line) {
  Captions all = {{line.at("caption").as_text(), line.at("log_probability").as_double()}};
  if (const tensor::io::Json* others = line.find("alternatives"))
    for (const tensor::io::Json& other : others->items())
      all.emplace_back(other.at("caption").as_text(), other.at("log_probability").as_double());
  return all;
}

inline Captions captions_of(const std::vector<Hypothesis>& found, const Model& model) {
  Captions all;
  for (const Hypothesis& h : found) all.emplace_back(model.text(h), h.log_probability);
  return all;
}

}  // namespace tests
