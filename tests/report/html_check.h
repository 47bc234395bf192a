// What every page has to keep: tags that match, and nothing that is loaded from elsewhere.
#pragma once

#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "tensor/format.h"

namespace tests {

// Empty for a page whose tags all match, quotes inside of tags included; else what is wrong first. Elements
// without an end are <meta>, and in SVG those that end in "/>".
inline std::string problem_of_html(const std::string& page) {
  std::vector<std::string> open;
  bool style = false;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    if (style && page.compare(at, 8, "</style>") != 0) continue;
    size_t end = at + 1;
    char quote = 0;
    for (; end < page.size() && (quote != 0 || page[end] != '>'); ++end) {
      if (quote != 0 && page[end] == quote)
        quote = 0;
      else if (quote == 0 && (page[end] == '"' || page[end] == '\''))
        quote = page[end];
      else if (page[end] == '<')
        return tensor::format("a tag inside of the tag at {}", at);
    }
    if (end == page.size()) return tensor::format("the tag at {} does not end", at);
    const std::string tag = page.substr(at + 1, end - at - 1);
    at = end;
    if (tag == "!DOCTYPE html") continue;
    const bool closes = tag.starts_with("/");
    size_t letters = closes ? 1 : 0;
    while (letters < tag.size() && std::isalnum(static_cast<unsigned char>(tag[letters])) != 0) ++letters;
    const std::string name = tag.substr(closes ? 1 : 0, letters - (closes ? 1 : 0));
    if (name.empty()) return tensor::format("no name in <{}>", tag.substr(0, 40));
    if (closes) {
      if (open.empty() || open.back() != name)
        return tensor::format("</{}> where {} is open", name, open.empty() ? "nothing" : open.back());
      open.pop_back();
    } else if (name != "meta" && !tag.ends_with("/")) {
      open.push_back(name);
    }
    style = !open.empty() && open.back() == "style";
  }
  return open.empty() ? "" : tensor::format("<{}> stays open", open.back());
}

// Whether the page names anything outside of itself, or runs anything.
inline bool is_self_contained(const std::string& page) {
  for (const char* part : {"http:", "https:", "//", "<script", "<link", "<iframe", "@import", "src=", "url("})
    for (size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + 1)) {
      // "//" may stand in base64.
      const size_t quote = page.rfind('"', at);
      if (quote == std::string::npos || page.compare(quote + 1, 5, "data:") != 0) return false;
    }
  for (size_t at = page.find("href=\""); at != std::string::npos; at = page.find("href=\"", at + 1))
    if (page[at + 6] != '#' && page.compare(at + 6, 11, "data:image/") != 0) return false;
  return true;
}

}  // namespace tests
