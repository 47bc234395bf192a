// Looking for parts in texts.
#pragma once

#include <string>
#include <vector>

namespace tests {

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

// What stands between each `from` and the next `to` after it.
inline std::vector<std::string> all_between(const std::string& text, const std::string& from,
                                            const std::string& to) {
  std::vector<std::string> parts;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    at += from.size();
    const size_t end = text.find(to, at);
    if (end == std::string::npos) break;
    parts.push_back(text.substr(at, end - at));
  }
  return parts;
}

}  // namespace tests
