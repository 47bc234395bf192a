// What comes in a request besides its head, from clients that may send anything: pure functions, which look at no more
// than they are given.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgcap::serve {

// "%41+b" -> "A b" (application/x-www-form-urlencoded, URL living standard 5.1). Errors: data (a % without two
// hexadecimal digits, what is no UTF-8).
std::string decode_query_text(std::string_view text);

// "beam=3&suppress=a&suppress=b", in its order; a name without = has an empty value. Errors: those above, data (more
// than 256 parameters).
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

// "multipart/form-data; boundary=x": the type in small letters and its parameters (RFC 9110, 8.3.1), names in small
// letters, values without their quotes.
struct MediaType {
  std::string type;
  std::vector<std::pair<std::string, std::string>> parameters{};

  std::optional<std::string> parameter(std::string_view name) const;
};

// Errors: data (what is none; parameters twice).
MediaType parse_media_type(std::string_view text);

// A part of multipart/form-data (RFC 7578). `bytes` is a view of the body.
struct FormPart {
  std::string name;
  std::optional<std::string> file_name;  // as it was sent: anything but a place to write to
  std::string type;                      // Content-Type; empty: none was given
  std::string_view bytes;
};

// The parts of a body, in their order. Errors: data (no or a wrong boundary, a body that is cut short, a part without
// a name, a head over 16 KiB or malformed, more than `most` parts).
std::vector<FormPart> parse_multipart(std::string_view body, std::string_view boundary, size_t most = 1024);

}  // namespace imgcap::serve
