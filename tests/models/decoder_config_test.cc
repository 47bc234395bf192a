// The decoder's settings: which are refused, and what is kept of them in a checkpoint.
#include "imgcap/models/decoder_config.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tensor/error.h"

using namespace imgcap;
using tensor::ErrorKind;

namespace {

using Change = std::function<void(DecoderConfig&)>;

// The text of the error, empty where there is none.
std::string error_of(const std::function<void()>& call, ErrorKind kind) {
  try {
    call();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "";
}

std::string refusal(const Change& change, DecoderKind kind = DecoderKind::attention) {
  DecoderConfig config;
  config.kind = kind;
  change(config);
  return error_of([&] { validate(config); }, ErrorKind::argument);
}

std::string json_error(const std::string& text) {
  return error_of([&] { decoder_config_from_json(text); }, ErrorKind::data);
}

const std::vector<std::pair<std::string, int64_t DecoderConfig::*>> kSizes = {
    {"vocabulary", &DecoderConfig::vocabulary},
    {"features", &DecoderConfig::features},
    {"embedding", &DecoderConfig::embedding},
    {"hidden", &DecoderConfig::hidden},
    {"attention", &DecoderConfig::attention}};

}  // namespace

TEST_CASE("sizes of a decoder go from 1 to 2^24, layers to 16") {
  for (const auto& [name, member] : kSizes) {
    CAPTURE(name);
    for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
      const auto with = [&](int64_t value) {
        return refusal([&](DecoderConfig& c) { c.*member = value; }, kind);
      };
      CHECK(with(1) == "");
      CHECK(with(1 << 24) == "");
      CHECK(with(0) == "model: " + name + " is 0; it has to be positive");
      CHECK(with(-1) == "model: " + name + " is -1; it has to be positive");
      CHECK(with((1 << 24) + 1) == "model: " + name + " is 16777217; it has to be positive");
    }
  }
  const auto layers = [](int64_t value) { return refusal([&](DecoderConfig& c) { c.layers = value; }); };
  CHECK(layers(1) == "");
  CHECK(layers(16) == "");
  CHECK(layers(0) == "model: 0 layers; 1 to 16 are possible");
  CHECK(layers(17) == "model: 17 layers; 1 to 16 are possible");
}

TEST_CASE("each dropout is in [0, 1)") {
  for (double DecoderConfig::*member :
       {&DecoderConfig::layer_dropout, &DecoderConfig::embedding_dropout, &DecoderConfig::output_dropout}) {
    const auto with = [&](double value) { return refusal([&](DecoderConfig& c) { c.*member = value; }); };
    CHECK(with(0) == "");
    CHECK(with(0.999) == "");
    CHECK(with(1) == "model: a dropout of 1 is not in [0, 1)");
    CHECK(with(-0.001) == "model: a dropout of -0.001 is not in [0, 1)");
    CHECK(with(NAN) != "");
  }
}

TEST_CASE("settings that belong to one kind of decoder are refused for the other") {
  const auto gate = [](DecoderConfig& c) { c.gate = true; };
  const auto initial = [](DecoderConfig& c) { c.initial_state = true; };
  const auto bounded = [](DecoderConfig& c) { c.tanh_image = true; };
  CHECK(refusal(gate) == "");
  CHECK(refusal(initial) == "");
  CHECK(refusal(bounded, DecoderKind::plain) == "");
  const std::string needs_attention = "model: gate and initial_state need the attention model";
  CHECK(refusal(gate, DecoderKind::plain) == needs_attention);
  CHECK(refusal(initial, DecoderKind::plain) == needs_attention);
  CHECK(refusal(bounded) == "model: tanh_image needs the plain model");
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    const auto tied = [&](int64_t embedding, int64_t hidden, bool on) {
      return refusal(
          [&](DecoderConfig& c) { c.embedding = embedding, c.hidden = hidden, c.tie_weights = on; }, kind);
    };
    CHECK(tied(7, 7, true) == "");
    CHECK(tied(7, 8, false) == "");
    CHECK(tied(7, 8, true) == "model: tied weights need embedding (7) and hidden (8) of one size");
    CHECK(tied(8, 7, true) != "");
  }
}

TEST_CASE("a decoder's settings by their names in JSON") {
  // As the header says: the members' names, and the defaults.
  const std::string defaults =
      R"({"kind":"attention","vocabulary":4096,"features":2048,"embedding":1024,"hidden":1024,)"
      R"("attention":1024,"layers":2,"layer_dropout":0.5,"embedding_dropout":0.0,"output_dropout":0.0,)"
      R"("gate":false,"initial_state":false,"tanh_image":false,"tie_weights":false})";
  CHECK(to_json({}) == defaults);
  CHECK(decoder_config_from_json(defaults) == DecoderConfig{});
  CHECK(decoder_config_from_json(R"({"kind":"attention"})") == DecoderConfig{});
  CHECK(decoder_config_from_json(R"({"kind":"plain"})").kind == DecoderKind::plain);

  // Each by itself.
  const std::vector<Change> changes = {[](auto& c) { c.kind = DecoderKind::plain; },
                                       [](auto& c) { c.vocabulary = 11; },
                                       [](auto& c) { c.features = 12; },
                                       [](auto& c) { c.embedding = 13; },
                                       [](auto& c) { c.hidden = 14; },
                                       [](auto& c) { c.attention = 15; },
                                       [](auto& c) { c.layers = 3; },
                                       [](auto& c) { c.layer_dropout = 0.1; },
                                       [](auto& c) { c.embedding_dropout = 1.0 / 3; },
                                       [](auto& c) { c.output_dropout = 0.3; },
                                       [](auto& c) { c.gate = true; },
                                       [](auto& c) { c.initial_state = true; },
                                       [](auto& c) { c.tie_weights = true; },
                                       [](auto& c) { c.kind = DecoderKind::plain, c.tanh_image = true; }};
  for (const Change& change : changes) {
    DecoderConfig config;
    change(config);
    CHECK_FALSE(config == DecoderConfig{});
    CHECK(decoder_config_from_json(to_json(config)) == config);
  }
  CHECK(decoder_config_from_json(R"({"kind":"plain","layer_dropout":0,"hidden":3})").layer_dropout == 0);
}

TEST_CASE("settings of another type, another name or out of range are refused") {
  const auto setting = [](const std::string& text) { return R"({"kind":"attention",)" + text + "}"; };
  const auto wrong_type = [](const char* name) {
    return std::string("model: setting '") + name + "' of the decoder's configuration has the wrong type";
  };
  CHECK(json_error(setting(R"("hidden":3)")) == "");
  for (const char* value : {"3.5", "\"3\"", "true", "null", "[3]"}) {
    CAPTURE(value);
    CHECK(json_error(setting(std::string("\"hidden\":") + value)) == wrong_type("hidden"));
  }
  for (const char* value : {"\"0.5\"", "true", "null"}) {
    CAPTURE(value);
    CHECK(json_error(setting(std::string("\"layer_dropout\":") + value)) == wrong_type("layer_dropout"));
  }
  for (const char* value : {"1", "0.0", "\"true\""}) {
    CAPTURE(value);
    CHECK(json_error(setting(std::string("\"gate\":") + value)) == wrong_type("gate"));
  }
  CHECK(json_error(setting(R"("width":3)")) ==
        "model: the decoder's configuration has settings this version does not know");
  const std::string no_object = "model: the decoder's configuration is not a JSON object with a kind";
  for (const char* text : {"", "{", "[]", "{}", R"({"kind":1})", R"(["kind"])", R"({"hidden":3})"}) {
    CAPTURE(text);
    CHECK(json_error(text) == no_object);
  }
  CHECK(error_of([&] { decoder_config_from_json(setting(R"("hidden":0)")); }, ErrorKind::argument) ==
        "model: hidden is 0; it has to be positive");
  CHECK(error_of([&] { decoder_config_from_json(R"({"kind":"transformer"})"); }, ErrorKind::argument) ==
        "model: 'transformer' is neither attention nor plain");
}

TEST_CASE("the kinds of decoders by name") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    CHECK(decoder_kind(to_string(kind)) == kind);
  CHECK(to_string(DecoderKind::plain) == "plain");
  CHECK(error_of([] { decoder_kind("Plain"); }, ErrorKind::argument) != "");
}
