#include "imgcap/models/decoder_config.h"

#include "imgcap/models/decoder_settings.h"
#include "imgcap/settings/json.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

DecoderKind decoder_kind(const std::string& name) {
  const auto& table = kSettings<DecoderConfig>;
  return value_of<DecoderKind>(table.owner, std::get<0>(table.rows), name);
}

void validate(const DecoderConfig& c) {
  check_bounds(c);
  check(!c.tie_weights || c.embedding == c.hidden, ErrorKind::argument,
        "model: tied weights need embedding ({}) and hidden ({}) of one size", c.embedding, c.hidden);
  check(c.kind == DecoderKind::attention || (!c.gate && !c.initial_state), ErrorKind::argument,
        "model: gate and initial_state need the attention model");
  check(c.kind == DecoderKind::plain || !c.tanh_image, ErrorKind::argument,
        "model: tanh_image needs the plain model");
}

std::string to_json(const DecoderConfig& config) { return settings_to_json(config).dump(); }

DecoderConfig decoder_config_from_json(const std::string& text) {
  const Json json = Json::try_parse(text).value_or(Json());
  const Json* kind = json.find("kind");
  const auto& table = kSettings<DecoderConfig>;
  check(kind != nullptr && kind->is_text(), ErrorKind::data, "{}: {}", table.owner, table.json.no_object);
  const auto config = settings_from_json<DecoderConfig>(json);
  validate(config);
  return config;
}

}  // namespace imgcap
