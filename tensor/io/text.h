// Names from files, made fit for error messages.
#pragma once

#include <string>
#include <string_view>

#include "tensor/format.h"

namespace tensor::io {

// `text` in quotes, with control and non-ASCII bytes escaped and cut after 100 bytes: a name from a hostile
// file must not reach a terminal as it is.
inline std::string in_quotes(std::string_view text) {
  std::string result = "'";
  for (const char c : text.substr(0, 100)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      result += tensor::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  result += text.size() > 100 ? "...'" : "'";
  return result;
}

}  // namespace tensor::io
