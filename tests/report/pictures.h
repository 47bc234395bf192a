// The pictures that a page carries.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "imgcap/data/image.h"
#include "tests/text.h"

namespace tests {

inline std::vector<uint8_t> from_base64(const std::string& text) {
  static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<uint8_t> bytes;
  uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    if (c == '=') break;
    const size_t digit = digits.find(c);
    if (digit == std::string::npos) throw std::runtime_error("no base64");
    bits = bits << 6 | static_cast<uint32_t>(digit);
    have += 6;
    if (have >= 8) have -= 8, bytes.push_back(static_cast<uint8_t>(bits >> have));
  }
  return bytes;
}

// In the page's order; `type` is jpeg or png. What is transparent is seen over white.
inline std::vector<imgcap::Image> pictures(const std::string& page, const std::string& type) {
  std::vector<imgcap::Image> all;
  for (const std::string& data : all_between(page, "data:image/" + type + ";base64,", "\""))
    all.push_back(imgcap::decode_image(from_base64(data), "page"));
  return all;
}

}  // namespace tests
