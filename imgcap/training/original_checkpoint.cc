#include "imgcap/training/original_checkpoint.h"

#include "imgcap/training/encode.h"
#include "nn/init.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::Tensor;
using Tensors = std::map<std::string, Tensor>;

namespace {

constexpr std::string_view kDecoder = "lstm.", kEncoder = "cnn.ResNet50.", kCopies = "cnn.features.";
constexpr const char* kAttention = "attention.attention.weight";

int64_t size_of(const Tensors& weights, const std::string& name, int dim, const std::string& origin) {
  const auto found = weights.find(name);
  check(found != weights.end(), ErrorKind::data,
        "{}: not a checkpoint of the original ImgCap: lstm.{} is missing", origin, name);
  check(found->second.rank() == 2, ErrorKind::data, "{}: lstm.{} is {}, not a matrix", origin, name,
        describe(found->second));
  return found->second.size(dim);
}

DecoderConfig config_of(const Tensors& weights, const std::string& origin) {
  const auto size = [&](const std::string& name, int dim) { return size_of(weights, name, dim, origin); };
  DecoderConfig config;
  config.vocabulary = size("embedding.weight", 0);
  config.embedding = size("embedding.weight", 1);
  config.hidden = size("lstm.weight_hh_l0", 1);
  config.layers = 0;
  while (weights.contains(tensor::format("lstm.weight_ih_l{}", config.layers))) ++config.layers;
  if (weights.contains(kAttention)) {
    config.attention = size(kAttention, 0);
    config.features = size(kAttention, 1) - config.hidden;
  } else {
    config.kind = DecoderKind::plain;
    config.features = size("head.0.weight", 1);
  }
  return config;
}

}  // namespace

Checkpoint original_checkpoint(WeightsFile file, const Vocabulary& vocabulary, const std::string& origin,
                               std::vector<std::string>& remarks) {
  // Another file is told by what is missing of these.
  take_prefix(file.tensors, {"lstm.embedding.weight", "lstm.fc.weight", "lstm.lstm.weight_hh_l0"},
              {"lstm.", "cnn."}, origin, remarks);
  Checkpoint result;
  for (const auto& [name, value] : file.tensors)
    if (name.starts_with(kDecoder)) result.weights[name.substr(kDecoder.size())] = value;
  size_of(result.weights, "embedding.weight", 0, origin);  // it has a decoder at all
  const bool attention = result.weights.contains(kAttention);
  for (const auto& [name, value] : file.tensors) {
    if (name.starts_with(kDecoder) || name.starts_with(kCopies)) continue;
    check(name.starts_with(kEncoder), ErrorKind::data, "{}: {} is of no model of the original's", origin,
          tensor::io::in_quotes(name));
    const std::string rest = name.substr(kEncoder.size());
    if (!attention && rest.starts_with("fc."))
      result.weights["head." + rest.substr(3)] = value;
    else
      result.encoder_weights[rest] = value;
  }
  check(!vocabulary.has_languages(), ErrorKind::argument,
        "{}: the original's captions are of one language without a name, and the vocabulary has some",
        origin);
  result.decoder = config_of(result.weights, origin);
  check(result.decoder.vocabulary == vocabulary.size(), ErrorKind::data,
        "{}: its decoder has {} tokens, the vocabulary {}", origin, result.decoder.vocabulary,
        vocabulary.size());
  // Whether all is there and fits.
  tensor::about_file(origin, [&] {
    const nn::SkipInit all_is_loaded;
    make_decoder(result.decoder)->load_state_dict(result.weights);
  });
  result.vocabulary = vocabulary.tokens();
  result.encoder = "resnet50";
  result.preprocessing = imagenet_preprocessing();
  result.encoder_key = result.encoder;
  if (!result.encoder_weights.empty()) {
    LoadedEncoder loaded =
        load_encoder(result.encoder, result.encoder_weights, origin, EncoderUse::conversion);
    result.encoder_key = loaded.key;
    result.encoder_weights = loaded.encoder->state_dict();
    remarks.insert(remarks.end(), loaded.remarks.begin(), loaded.remarks.end());
  }
  for (const char* note : {"epoch", "train_loss", "val_loss", "bleu_score", "cider_score"})
    if (const auto found = file.metadata.find(note); found != file.metadata.end())
      result.notes[note] = found->second;
  result.notes["origin"] = "converted from a checkpoint of the original ImgCap";
  return result;
}

}  // namespace imgcap
