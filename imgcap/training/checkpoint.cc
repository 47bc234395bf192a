#include "imgcap/training/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "imgcap/data/text_settings.h"
#include "imgcap/settings/json.h"
#include "nn/init.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::io::Json;

namespace {

constexpr const char* kFormat = "imgcap-checkpoint-1";
// With encoder weights: readers that know nothing of them have to refuse it, not to leave them out.
constexpr const char* kEncoderFormat = "imgcap-checkpoint-2";
// With languages, and encoder weights or none: others would begin captions with <sos> and mix the languages' words.
constexpr const char* kLanguageFormat = "imgcap-checkpoint-3";
constexpr const char* kConfidence = "confidence";
constexpr const char* kEncoderBase = "encoder_base";
constexpr int64_t kSmallestMatrix = 1 << 14;

// A row for each index of the first dimension.
Tensor as_matrix(const Tensor& weight) { return weight.contiguous().reshape({weight.size(0), -1}); }

// Rows of 8 bits around 128, with a scale each: `x = (q - 128) * scale`.
struct Quantised {
  Tensor values, scales;
};

Quantised quantise(const Tensor& weight) {
  const Tensor source = as_matrix(weight.to(Device::cpu()).to(DType::f32));
  const int64_t rows = source.size(0), columns = source.size(1);
  Quantised q{Tensor::empty(weight.shape(), DType::u8), Tensor::empty({rows}, DType::f16)};
  const float* x = source.data<float>();
  uint8_t* to = q.values.mutable_data<uint8_t>();
  tensor::f16* scales = q.scales.mutable_data<tensor::f16>();
  for (int64_t r = 0; r < rows; ++r) {
    float top = 0;
    bool finite = true;
    for (int64_t j = 0; j < columns; ++j) {
      finite = finite && std::isfinite(x[r * columns + j]);
      top = std::max(top, std::fabs(x[r * columns + j]));
    }
    // A row with NaN or infinity is NaN as a whole: nothing is made good that is not.
    scales[r] = tensor::f16(finite ? top / 127 : std::numeric_limits<float>::quiet_NaN());
    finite = finite && std::isfinite(static_cast<float>(scales[r]));
    const float scale = static_cast<float>(scales[r]);
    for (int64_t j = 0; j < columns; ++j) {
      const float level = scale == 0 || !finite ? 0.0f : std::round(x[r * columns + j] / scale);
      to[r * columns + j] = static_cast<uint8_t>(std::clamp(level, -127.0f, 127.0f) + 128);
    }
  }
  return q;
}

// Of an encoder's convolution, too, where `of_encoder`.
tensor::StoredWeight rows(const Tensor& values, const Tensor& scales, const std::string& name,
                          const std::string& file, bool of_encoder) {
  check((values.rank() == 2 || (of_encoder && values.rank() > 2)) && (!of_encoder || values.numel() > 0) &&
            values.dtype() == DType::u8 && scales.dtype() == DType::f16 &&
            scales.shape() == Shape{values.size(0)},
        ErrorKind::data, "{}: {}: rows {} with scales {}", file, tensor::io::in_quotes(name),
        describe(values), describe(scales));
  return {values, scales};
}

const std::string& required(const std::map<std::string, std::string>& metadata, const std::string& key,
                            const std::string& file) {
  const auto found = metadata.find(key);
  check(found != metadata.end(), ErrorKind::data, "{}: not a checkpoint: '{}' is missing", file, key);
  return found->second;
}

// Of a vocabulary's languages, by code.
Json rules_to_json(const Vocabulary& vocabulary) {
  Json rules = Json::object();
  for (const auto& [code, own] : vocabulary.rules()) rules[code] = settings_to_json(own);
  return rules;
}
std::map<std::string, TextRules> rules_from_json(const std::string& text) {
  const Json json = Json::try_parse(text).value_or(Json());
  check(json.is_object(), ErrorKind::data, "the rules of text are not a JSON object");
  std::map<std::string, TextRules> rules;
  for (size_t i = 0; i < json.size(); ++i)
    rules.emplace(json.keys()[i], settings_from_json<TextRules>(json.items()[i]));
  return rules;
}

// What `read` gives. Its errors are about settings that a user may give, too; here a file has them.
template <class F>
auto from_file(const std::string& file, F&& read) {
  try {
    return read();
  } catch (const tensor::Error& error) {
    tensor::fail(ErrorKind::data, "{}: {}", file, error.what());
  }
}

}  // namespace

std::unique_ptr<Decoder> Checkpoint::make_decoder() const {
  const nn::SkipInit all_is_loaded;
  auto model = imgcap::make_decoder(decoder);
  model->load_state_dict(weights, nn::LoadOptions{.finite = [](const std::string&) { return true; }});
  return model;
}

std::unique_ptr<Decoder> Checkpoint::make_frozen_decoder(tensor::Device device) const {
  return std::make_unique<FrozenDecoder>(decoder, stored, device);
}

void save_checkpoint(const std::filesystem::path& file, const Checkpoint& checkpoint, WeightFormat format) {
  std::map<std::string, Tensor> tensors;
  const auto put = [&](const std::string& name, const Tensor& weight, bool has_rows, bool keep) {
    if (format == WeightFormat::i8 && has_rows && weight.numel() >= kSmallestMatrix) {
      const Quantised q = quantise(weight);
      tensors[name + "#rows"] = q.values;
      tensors[name + "#scales"] = q.scales;
    } else {
      tensors[name] = keep || format == WeightFormat::f32 ? weight : weight.to(DType::f16);
    }
  };
  for (const auto& [name, weight] : checkpoint.weights) {
    // A tied matrix is stored once, under the embedding's name.
    if (checkpoint.decoder.tie_weights && name == Decoder::kOutputWeight) continue;
    put("model." + name, weight, weight.rank() == 2, false);
  }
  for (const auto& [name, weight] : checkpoint.encoder_weights)
    put("encoder." + name, weight, weight.rank() >= 2, weight.rank() < 2);
  for (const auto& [name, value] : checkpoint.training_tensors) tensors["training." + name] = value;
  const bool has_languages = names_languages(checkpoint.vocabulary);
  std::map<std::string, std::string> metadata = {
      {"format", has_languages                        ? kLanguageFormat
                 : checkpoint.encoder_weights.empty() ? kFormat
                                                      : kEncoderFormat},
      {"decoder", to_json(checkpoint.decoder)},
      {"vocabulary", Json(checkpoint.vocabulary).dump()},
      {"encoder", checkpoint.encoder},
      {"encoder_key", checkpoint.encoder_key},
      {"preprocessing", to_json(checkpoint.preprocessing)},
      {"notes", Json(checkpoint.notes).dump()},
  };
  if (has_languages) {
    const Vocabulary vocabulary = checkpoint.make_vocabulary();
    metadata["text_rules"] = rules_to_json(vocabulary).dump();
    metadata["language"] = vocabulary.language(checkpoint.language).code;
  }
  if (!checkpoint.encoder_base.empty()) metadata[kEncoderBase] = checkpoint.encoder_base;
  if (!checkpoint.confidence.empty()) metadata[kConfidence] = to_json(checkpoint.confidence);
  if (!checkpoint.training.empty()) metadata["training"] = checkpoint.training;
  tensor::io::write_safetensors(file, tensors, metadata);
}

void copy_with_confidence(const std::filesystem::path& from, const std::filesystem::path& to,
                          const Confidences& confidence) {
  tensor::io::SafetensorsFile contents = tensor::io::read_safetensors(from);
  Confidences all = confidence;
  if (const auto own = contents.metadata.find(kConfidence); own != contents.metadata.end())
    all.merge(from_file(from.string(), [&] { return confidences_from_json(own->second); }));
  contents.metadata[kConfidence] = to_json(all);
  tensor::io::write_safetensors(to, contents.tensors, contents.metadata);
}

Checkpoint load_checkpoint(const std::filesystem::path& file, WeightsAs form) {
  const std::string name = file.string();
  tensor::io::SafetensorsFile contents = tensor::io::read_safetensors(file);
  const std::string& format = required(contents.metadata, "format", name);
  check(format == kFormat || format == kEncoderFormat || format == kLanguageFormat, ErrorKind::data,
        "{}: a checkpoint of another format ({})", name, tensor::io::in_quotes(format));
  Checkpoint checkpoint;
  checkpoint.decoder =
      from_file(name, [&] { return decoder_config_from_json(required(contents.metadata, "decoder", name)); });
  const Json json = Json::try_parse(required(contents.metadata, "vocabulary", name)).value_or(Json());
  check(json.is_array() &&
            std::all_of(json.items().begin(), json.items().end(), [](const Json& t) { return t.is_text(); }),
        ErrorKind::data, "{}: the vocabulary is not an array of strings", name);
  for (const Json& token : json.items()) checkpoint.vocabulary.push_back(token.as_text());
  check(static_cast<int64_t>(checkpoint.vocabulary.size()) == checkpoint.decoder.vocabulary, ErrorKind::data,
        "{}: a vocabulary of {} tokens for a decoder of {}", name, checkpoint.vocabulary.size(),
        checkpoint.decoder.vocabulary);
  const bool has_languages = names_languages(checkpoint.vocabulary);
  check(has_languages == (format == kLanguageFormat), ErrorKind::data,
        "{}: a checkpoint of format '{}' {} languages", name, format, has_languages ? "with" : "without");
  if (has_languages) {
    checkpoint.language = required(contents.metadata, "language", name);
    const std::string& rules = required(contents.metadata, "text_rules", name);
    checkpoint.text_rules = from_file(name, [&] { return rules_from_json(rules); });
  }
  // Throws for what is no vocabulary, or does not have that language.
  from_file(name, [&] { return checkpoint.make_vocabulary().language(checkpoint.language).range; });
  checkpoint.encoder = required(contents.metadata, "encoder", name);
  checkpoint.encoder_key = required(contents.metadata, "encoder_key", name);
  if (const auto base = contents.metadata.find(kEncoderBase); base != contents.metadata.end())
    checkpoint.encoder_base = base->second;
  checkpoint.preprocessing =
      preprocessing_from_json(required(contents.metadata, "preprocessing", name), name);
  if (const Json notes = Json::try_parse(required(contents.metadata, "notes", name)).value_or(Json());
      notes.is_object())
    for (size_t i = 0; i < notes.size(); ++i)
      if (const Json& value = notes.items()[i]; value.is_text())
        checkpoint.notes[notes.keys()[i]] = value.as_text();
  if (const auto confidence = contents.metadata.find(kConfidence); confidence != contents.metadata.end())
    checkpoint.confidence = from_file(name, [&] { return confidences_from_json(confidence->second); });
  if (const auto training = contents.metadata.find("training"); training != contents.metadata.end())
    checkpoint.training = training->second;
  const bool widen = form == WeightsAs::f32;
  const auto add = [&](const std::string& weight, const tensor::StoredWeight& value) {
    if (widen)
      checkpoint.weights[weight] = value.widened();
    else
      checkpoint.stored[weight] = value;
  };
  for (const auto& [key, value] : contents.tensors) {
    if (key.starts_with("training.")) {
      if (widen) checkpoint.training_tensors[key.substr(9)] = value;
      continue;
    }
    const bool of_encoder = key.starts_with("encoder.");
    if ((!of_encoder && !key.starts_with("model.")) || key.ends_with("#scales")) continue;
    if (key.ends_with("#rows")) {
      const std::string whole = key.substr(0, key.size() - 5), weight = whole.substr(whole.find('.') + 1);
      const auto scales = contents.tensors.find(whole + "#scales");
      check(scales != contents.tensors.end(), ErrorKind::data, "{}: {} has no scales", name,
            tensor::io::in_quotes(weight));
      const tensor::StoredWeight stored = rows(value, scales->second, weight, name, of_encoder);
      // Convolutions have no kernels for rows of 8 bits.
      if (of_encoder)
        checkpoint.encoder_weights[weight] =
            tensor::StoredWeight{as_matrix(stored.values), stored.scales}.widened().reshape(stored.shape());
      else
        add(weight, stored);
    } else if (of_encoder) {
      checkpoint.encoder_weights[key.substr(8)] =
          widen && tensor::is_floating(value.dtype()) ? value.to(DType::f32) : value;
    } else {
      const bool narrow = value.dtype() == DType::f32 || tensor::is_half(value.dtype());
      add(key.substr(6), {narrow ? value : value.to(DType::f32)});
    }
  }
  check(format == kLanguageFormat || (format == kEncoderFormat) == !checkpoint.encoder_weights.empty(),
        ErrorKind::data, "{}: a checkpoint of format '{}' {} encoder weights", name, format,
        format == kEncoderFormat ? "without" : "with");
  return checkpoint;
}

}  // namespace imgcap
