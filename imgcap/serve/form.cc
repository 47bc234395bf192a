#include "imgcap/serve/form.h"

#include <algorithm>

#include "imgcap/data/utf8.h"
#include "imgcap/serve/http.h"
#include "tensor/error.h"

namespace imgcap::serve {
namespace {

using tensor::check;
constexpr auto kData = tensor::ErrorKind::data;

constexpr size_t kMostParameters = 256, kLongestHead = 16 * 1024, kLongestBoundary = 70;

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Takes `; name=value` pairs off `text`. Browsers write " and line breaks in a file's name as %22, %0D and %0A, and
// leave backslashes alone; other programs put a backslash before quotes.
std::vector<std::pair<std::string, std::string>> parameters_of(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> found;
  while (true) {
    text = trimmed(text);
    if (text.empty()) return found;
    check(text.front() == ';', kData, "a parameter without ; before it");
    text = trimmed(text.substr(1));
    if (text.empty()) return found;  // one ; too many does no harm
    const size_t equals = text.find('=');
    check(equals != std::string_view::npos, kData, "a parameter without a value");
    std::string name = in_small_letters(trimmed(text.substr(0, equals)));
    check(is_token(name), kData, "a parameter without a name");
    check(found.size() < 16, kData, "more than 16 parameters");
    for (const auto& each : found) check(each.first != name, kData, "the parameter {} twice", name);
    text = trimmed(text.substr(equals + 1));
    std::string value;
    if (!text.empty() && text.front() == '"') {
      size_t at = 1;
      for (; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == '"' || text[at + 1] == '\\')) ++at;
        value += text[at];
      }
      check(at < text.size(), kData, "a parameter whose quotes do not end");
      text.remove_prefix(at + 1);
    } else {
      const size_t end = std::min(text.find(';'), text.size());
      value = trimmed(text.substr(0, end));
      text.remove_prefix(end);
    }
    found.emplace_back(std::move(name), std::move(value));
  }
}

// "a; b=c" as what is before the first ; and the parameters after it.
MediaType head_value(std::string_view text) {
  const size_t end = std::min(text.find(';'), text.size());
  return {in_small_letters(trimmed(text.substr(0, end))), parameters_of(text.substr(end))};
}

// The part that a head, without its last line break, and these bytes make.
FormPart part_of(std::string_view head, std::string_view bytes) {
  FormPart part;
  part.bytes = bytes;
  bool named = false;
  while (!head.empty()) {
    const size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const size_t colon = line.find(':');
    check(colon != std::string_view::npos && is_token(line.substr(0, colon)), kData,
          "form: a part's head has a line that is no field");
    const std::string name = in_small_letters(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "content-disposition") {
      check(!named, kData, "form: a part has two names");
      const MediaType disposition = head_value(value);
      check(disposition.type == "form-data", kData, "form: a part is no form-data");
      const std::optional<std::string> given = disposition.parameter("name");
      check(given.has_value(), kData, "form: a part has no name");
      part.name = *given;
      part.file_name = disposition.parameter("filename");
      named = true;
    } else if (name == "content-type") {
      part.type = value;
    }
  }
  check(named, kData, "form: a part has no name");
  return part;
}

}  // namespace

std::string decode_query_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? digit_of(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? digit_of(text[i + 2]) : -1;
      check(high >= 0 && low >= 0, kData, "query: a % without two hexadecimal digits");
      out += static_cast<char>(16 * high + low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  check(find_invalid_utf8(out) == kNoPosition, kData, "query: a text that is not UTF-8");
  return out;
}

std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    check(parameters.size() < kMostParameters, kData, "query: more than {} parameters", kMostParameters);
    const size_t equals = std::min(pair.find('='), pair.size());
    parameters.emplace_back(decode_query_text(pair.substr(0, equals)),
                            equals < pair.size() ? decode_query_text(pair.substr(equals + 1)) : "");
  }
  return parameters;
}

std::optional<std::string> MediaType::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return std::nullopt;
}

MediaType parse_media_type(std::string_view text) {
  MediaType found = tensor::about_file("Content-Type", [&] { return head_value(text); });
  const size_t slash = std::min(found.type.find('/'), found.type.size());
  check(slash < found.type.size() && is_token(found.type.substr(0, slash)) &&
            is_token(found.type.substr(slash + 1)),
        kData, "Content-Type: it is no type");
  return found;
}

std::vector<FormPart> parse_multipart(std::string_view body, std::string_view boundary, size_t most) {
  check(!boundary.empty() && boundary.size() <= kLongestBoundary, kData,
        "form: its boundary has {} characters; 1 to {} are right", boundary.size(), kLongestBoundary);
  const std::string first = "--" + std::string(boundary), next = "\r\n" + first;
  // What stands before the first boundary is no part of it.
  size_t at = body.starts_with(first) ? 0 : body.find(next);
  check(at != std::string_view::npos, kData, "form: its boundary is nowhere in the body");
  at += body.starts_with(first) ? first.size() : next.size();
  std::vector<FormPart> parts;
  while (true) {
    std::string_view rest = body.substr(at);
    if (rest.starts_with("--")) return parts;
    const size_t line = std::min(rest.find_first_not_of(" \t"), rest.size());
    check(rest.substr(line).starts_with("\r\n"), kData, "form: a boundary has something behind it");
    at += line + 2;
    rest = body.substr(at);
    check(parts.size() < most, kData, "form: more than {} parts", most);
    // An empty head ends with the line break that ends the boundary's line.
    const size_t head = rest.starts_with("\r\n") ? 0 : rest.substr(0, kLongestHead + 4).find("\r\n\r\n");
    check(head != std::string_view::npos, kData, "form: a part's head does not end within {} bytes",
          kLongestHead);
    const size_t begin = head + (rest.starts_with("\r\n") ? 2 : 4);
    const size_t end = rest.find(next, begin);
    check(end != std::string_view::npos, kData, "form: it is cut short: its last boundary is missing");
    parts.push_back(part_of(rest.substr(0, head), rest.substr(begin, end - begin)));
    at += end + next.size();
  }
}

}  // namespace imgcap::serve
