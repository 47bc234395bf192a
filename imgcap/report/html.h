// Pieces of HTML from texts, numbers and bytes that come from anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace imgcap {

// For an element's text and for quoted attributes alike: & < > " ' become entities; malformed UTF-8 and
// control characters become U+FFFD, white space a blank.
std::string escape_html(std::string_view text);

// 12345678 -> "12,345,678"
std::string grouped(int64_t number);

// "1 photo", "2,000 photos"
std::string counted(int64_t number, std::string_view thing);

// "data:image/png;base64,iVBORw0..."
std::string data_uri(std::string_view type, std::string_view bytes);

}  // namespace imgcap
