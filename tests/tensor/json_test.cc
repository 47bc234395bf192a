// Our writer against nlohmann's reader and writer: what one writes, the other reads.
#include "tensor/io/json.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "tensor/error.h"

using tensor::Error;
using tensor::io::Json;

namespace {

std::string refusal(const std::string& text, int depth = 32) {
  try {
    Json::parse(text, "x.json", depth);
  } catch (const Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    return error.what();
  }
  return "read";
}

}  // namespace

TEST_CASE("JSON: objects, arrays and plain values are written as nlohmann writes them") {
  const Json json =
      Json::object({{"image", "a.jpg"},
                    {"words", std::vector<std::string>{"a", "dog"}},
                    {"ok", true},
                    {"nothing", Json()},
                    {"least", std::numeric_limits<int64_t>::min()},
                    {"most", std::numeric_limits<uint64_t>::max()},
                    {"inner", Json::object({{"empty", Json::array()}, {"none", Json::object()}})},
                    {"map", std::map<std::string, double>{{"b", 1.5}, {"a", -2}}},
                    {"pair", std::array<int, 2>{1, -1}}});
  const std::string text =
      R"({"image":"a.jpg","words":["a","dog"],"ok":true,"nothing":null,"least":-9223372036854775808,)"
      R"("most":18446744073709551615,"inner":{"empty":[],"none":{}},"map":{"a":-2.0,"b":1.5},"pair":[1,-1]})";
  CHECK(json.dump() == text);
  CHECK(nlohmann::ordered_json::parse(json.dump()).dump() == text);
  CHECK(json.dump(1) == nlohmann::ordered_json::parse(text).dump(1));
  CHECK(Json::parse(text, "x") == json);
}

TEST_CASE("JSON: numbers come back as the same bits, and what is not finite is null") {
  std::mt19937_64 bits(5);
  for (int i = 0; i < 20000; ++i) {
    double value = 0;
    const uint64_t pattern = bits();
    std::memcpy(&value, &pattern, sizeof value);
    const std::string text = Json(value).dump();
    if (!std::isfinite(value)) {
      CHECK(text == "null");
      continue;
    }
    const double back = nlohmann::json::parse(text).get<double>();
    REQUIRE(std::memcmp(&back, &value, sizeof value) == 0);
    const auto single = static_cast<float>(i) * 0.001f;
    REQUIRE(nlohmann::json::parse(Json(single).dump()).get<float>() == single);
  }
  CHECK(Json(1.0).dump() == "1.0");
  CHECK(Json(-0.0).dump() == "-0.0");
  CHECK(Json(0.1).dump() == "0.1");
  CHECK(Json(127.0f).dump() == "127");
  CHECK(Json(0.485f).dump() == "0.485");
  for (const double value : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
    CHECK(Json(value).dump() == "null");
    CHECK(Json(static_cast<float>(value)).dump() == "null");
  }
}

TEST_CASE("JSON: any bytes are written as text, and damaged UTF-8 as nlohmann replaces it") {
  std::mt19937 random(7);
  const std::string pieces[] = {
      "\xC3",     "\xA9",       "\xE2\x82",     "\xAC", "\xF0\x9F\x98\x80", "a",
      "\"",       "\\",         "\x01",         "\x7f", "\xED\xA0\x80",     "\xF4\x90\x80\x80",
      "\xC0\xAF", "\n\t\r\b\f", "\xE0\x80\x80", "\0"};
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (int k = 0; k < 6; ++k) text += pieces[random() % std::size(pieces)];
    const std::string written = Json(text).dump();
    const std::string read = nlohmann::json::parse(written).get<std::string>();
    const bool good = nlohmann::json::accept("\"" + Json(text).dump().substr(1));
    REQUIRE(good);
    try {
      const std::string strict = nlohmann::json(text).dump();
      REQUIRE(written == strict);
      REQUIRE(read == text);
      REQUIRE(tensor::io::is_utf8(text));
    } catch (const nlohmann::json::exception&) {
      REQUIRE_FALSE(tensor::io::is_utf8(text));
      REQUIRE(read.find("\xEF\xBF\xBD") != std::string::npos);
    }
  }
}

TEST_CASE("JSON: values read by kind") {
  const Json json =
      Json::parse(R"({"a":1,"b":-1,"c":1.5,"d":"x","e":[true,null],"a":2,"big":18446744073709551615})", "x");
  CHECK(json.at("a").as_int64() == 2);  // the last of two equal keys
  CHECK(json.size() == 7);
  CHECK(json.at("b").as<int64_t>() == -1);
  CHECK(json.at("a").as<double>() == 2);
  CHECK(json.at("big").as_uint64() == UINT64_MAX);
  CHECK(json.at("big").as_double() == 18446744073709551615.0);
  CHECK(json.at("d").as<std::string>() == "x");
  CHECK(json.at("e").items()[0].as<bool>());
  CHECK(json.at("e").items()[1].is_null());
  CHECK(json.find("f") == nullptr);
  CHECK(json.at("e").find("f") == nullptr);
  CHECK(json.at("c").is<double>());
  CHECK_FALSE(json.at("c").is<int64_t>());
  CHECK(json.at("e").at(0).as_bool());
  CHECK(json.at(1).as_int64() == -1);
  CHECK_THROWS_WITH_AS(json.at("e").at(2), "JSON: [true,null] has no item 2", Error);
  CHECK_THROWS_WITH_AS(json.at("d").at(0), "JSON: \"x\" has no item 0", Error);
  CHECK_THROWS_WITH_AS(json.at("f"), "JSON: 'f' is missing", Error);
  CHECK_THROWS_WITH_AS(json.at("c").as_int64(), "JSON: 1.5 is no integer of 64 bits", Error);
  CHECK_THROWS_WITH_AS(json.at("big").as_int64(), "JSON: 18446744073709551615 is no integer of 64 bits",
                       Error);
  CHECK_THROWS_WITH_AS(json.at("b").as_uint64(), "JSON: -1 is no integer from 0 on", Error);
  CHECK_THROWS_WITH_AS(json.at("d").as_double(), "JSON: \"x\" is no number", Error);
  CHECK_THROWS_WITH_AS(json.at("a").as_bool(), "JSON: 2 is neither true nor false", Error);
  CHECK_THROWS_WITH_AS(json.at("a").as_text(), "JSON: 2 is no text", Error);
}

TEST_CASE("JSON: equal numbers are equal whatever their kind") {
  CHECK(Json(1) == Json(1.0));
  CHECK(Json(size_t{5}) == Json(5));
  CHECK(Json(-1) != Json(UINT64_MAX));
  CHECK(Json("1") != Json(1));
  CHECK(Json() != Json(false));
  CHECK(Json::array() != Json::object());
}

TEST_CASE("JSON: what is none is refused with its place") {
  CHECK(refusal("{\"a\": 1,\n}").starts_with("x.json: not JSON: line 2, column 1: syntax error"));
  CHECK(refusal("").starts_with("x.json: not JSON: line 1, column 1: "));
  CHECK(refusal("1 2").starts_with("x.json: not JSON: line 1, column 3: "));
  CHECK(refusal("\"\xC3\"").starts_with("x.json: not JSON: line 1, column 3: "));
  CHECK(refusal("1e999").starts_with("x.json: not JSON: "));
  CHECK(refusal("[[1]]", 2) == "read");
  CHECK(refusal("[[[1]]]", 2) == "x.json: not JSON: more than 2 arrays and objects inside one another");
  CHECK(refusal(std::string(1'000'000, '[')) ==
        "x.json: not JSON: more than 32 arrays and objects inside one another");
  CHECK_FALSE(Json::try_parse("{").has_value());
  CHECK(Json::try_parse("[]")->is_array());
}
