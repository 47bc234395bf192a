// JSON in tests: read, changed and shown.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/json.h"

// What a failed comparison shows.
template <>
struct doctest::StringMaker<tensor::io::Json> {
  static String convert(const tensor::io::Json& json) { return json.dump().c_str(); }
};

namespace tests {

inline tensor::io::Json read_json(std::string_view text) { return tensor::io::Json::parse(text, "JSON"); }

// The lines of a JSON Lines text.
inline std::vector<tensor::io::Json> json_lines(std::string_view text) {
  std::vector<tensor::io::Json> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(read_json(text.substr(at, end - at)));
    at = end + 1;
  }
  return lines;
}

// The object without the member of this name.
inline tensor::io::Json without(const tensor::io::Json& object, std::string_view key) {
  tensor::io::Json rest = tensor::io::Json::object();
  for (size_t i = 0; i < object.size(); ++i)
    if (object.keys()[i] != key) rest.add(object.keys()[i], object.items()[i]);
  return rest;
}

}  // namespace tests
