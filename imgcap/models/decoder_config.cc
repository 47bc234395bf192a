#include "imgcap/models/decoder_config.h"

#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/io/text.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

std::string to_string(DecoderKind kind) { return kind == DecoderKind::attention ? "attention" : "plain"; }

DecoderKind decoder_kind(const std::string& name) {
  check(name == "attention" || name == "plain", ErrorKind::argument,
        "model: {} is neither attention nor plain", tensor::io::in_quotes(name));
  return name == "attention" ? DecoderKind::attention : DecoderKind::plain;
}

void validate(const DecoderConfig& c) {
  const auto size = [](int64_t value, const char* name) {
    check(value > 0 && value <= (int64_t{1} << 24), ErrorKind::argument,
          "model: {} is {}; it has to be positive", name, value);
  };
  size(c.vocabulary, "vocabulary");
  size(c.features, "features");
  size(c.embedding, "embedding");
  size(c.hidden, "hidden");
  size(c.attention, "attention");
  check(c.layers >= 1 && c.layers <= 16, ErrorKind::argument, "model: {} layers; 1 to 16 are possible",
        c.layers);
  for (const double p : {c.layer_dropout, c.embedding_dropout, c.output_dropout})
    check(p >= 0 && p < 1, ErrorKind::argument, "model: a dropout of {} is not in [0, 1)", p);
  check(!c.tie_weights || c.embedding == c.hidden, ErrorKind::argument,
        "model: tied weights need embedding ({}) and hidden ({}) of one size", c.embedding, c.hidden);
  check(c.kind == DecoderKind::attention || (!c.gate && !c.initial_state), ErrorKind::argument,
        "model: gate and initial_state need the attention model");
  check(c.kind == DecoderKind::plain || !c.tanh_image, ErrorKind::argument,
        "model: tanh_image needs the plain model");
}

namespace {

// Calls f(name, member) for each setting but the kind.
template <class Config, class F>
void for_each_setting(Config& c, F&& f) {
  f("vocabulary", c.vocabulary);
  f("features", c.features);
  f("embedding", c.embedding);
  f("hidden", c.hidden);
  f("attention", c.attention);
  f("layers", c.layers);
  f("layer_dropout", c.layer_dropout);
  f("embedding_dropout", c.embedding_dropout);
  f("output_dropout", c.output_dropout);
  f("gate", c.gate);
  f("initial_state", c.initial_state);
  f("tanh_image", c.tanh_image);
  f("tie_weights", c.tie_weights);
}

}  // namespace

std::string to_json(const DecoderConfig& config) {
  Json json;
  json["kind"] = to_string(config.kind);
  for_each_setting(config, [&](const char* name, const auto& value) { json[name] = value; });
  return json.dump();
}

DecoderConfig decoder_config_from_json(const std::string& text) {
  const Json json = Json::try_parse(text).value_or(Json());
  const Json* kind = json.find("kind");
  check(kind != nullptr && kind->is_text(), ErrorKind::data,
        "model: the decoder's configuration is not a JSON object with a kind");
  DecoderConfig config;
  config.kind = decoder_kind(kind->as_text());
  size_t known = 1;
  for_each_setting(config, [&]<class T>(const char* name, T& value) {
    const Json* found = json.find(name);
    if (found == nullptr) return;
    ++known;
    check(found->is<T>(), ErrorKind::data,
          "model: setting '{}' of the decoder's configuration has the wrong type", name);
    value = found->as<T>();
  });
  check(known == json.size(), ErrorKind::data,
        "model: the decoder's configuration has settings this version does not know");
  validate(config);
  return config;
}

}  // namespace imgcap
