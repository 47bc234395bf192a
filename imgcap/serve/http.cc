#include "imgcap/serve/http.h"

#include <map>

namespace imgcap::serve {

std::string_view HttpHead::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key != name) continue;
    std::string_view text = value;
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
  }
  return {};
}

std::string_view HttpHead::path() const {
  return std::string_view(target).substr(0, std::min(target.find('?'), target.size()));
}

std::string_view HttpHead::query() const {
  const size_t at = target.find('?');
  return at == std::string::npos ? std::string_view{} : std::string_view(target).substr(at + 1);
}

std::string in_small_letters(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string_view reason_of(int status) {
  static const std::map<int, std::string_view> kReasons = {{200, "OK"},
                                                           {204, "No Content"},
                                                           {301, "Moved Permanently"},
                                                           {304, "Not Modified"},
                                                           {400, "Bad Request"},
                                                           {401, "Unauthorized"},
                                                           {403, "Forbidden"},
                                                           {404, "Not Found"},
                                                           {405, "Method Not Allowed"},
                                                           {406, "Not Acceptable"},
                                                           {408, "Request Timeout"},
                                                           {413, "Payload Too Large"},
                                                           {415, "Unsupported Media Type"},
                                                           {421, "Misdirected Request"},
                                                           {422, "Unprocessable Content"},
                                                           {429, "Too Many Requests"},
                                                           {431, "Request Header Fields Too Large"},
                                                           {500, "Internal Server Error"},
                                                           {503, "Service Unavailable"},
                                                           {505, "HTTP Version Not Supported"}};
  const auto at = kReasons.find(status);
  return at == kReasons.end() ? std::string_view{} : at->second;
}

}  // namespace imgcap::serve
