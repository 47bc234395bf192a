#include "imgcap/data/text_file.h"

#include <algorithm>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

std::string_view without_byte_order_mark(std::string_view text) {
  return text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
}

namespace {

// Malformed UTF-16 becomes malformed UTF-8, for check_text().
std::string from_utf16(std::string_view bytes, bool big_endian) {
  std::string out;
  out.reserve(bytes.size());
  const auto unit = [&](size_t at) {
    const auto first = static_cast<uint8_t>(bytes[at]), second = static_cast<uint8_t>(bytes[at + 1]);
    return static_cast<char32_t>(big_endian ? first << 8 | second : second << 8 | first);
  };
  size_t at = 0;
  for (; at + 1 < bytes.size(); at += 2) {
    char32_t code = unit(at);
    if (code >= 0xD800 && code < 0xE000) {
      const bool pair =
          code < 0xDC00 && at + 3 < bytes.size() && unit(at + 2) >= 0xDC00 && unit(at + 2) < 0xE000;
      if (!pair) {
        out += '\xFF';
        continue;
      }
      at += 2;
      code = 0x10000 + ((code - 0xD800) << 10) + (unit(at) - 0xDC00);
    }
    append_utf8(out, code);
  }
  if (at < bytes.size()) out += '\xFF';
  return out;
}

}  // namespace

PlainText::PlainText(std::string_view bytes, const std::string& name)
    : text_(without_byte_order_mark(bytes)) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"))
    text_ = own_ = from_utf16(bytes.substr(2), bytes.front() == '\xFE');
  check_text(text_, name);
  if (text_.find('\r') == text_.npos || text_.find('\n') != text_.npos) return;
  if (own_.empty()) own_ = text_;
  std::replace(own_.begin(), own_.end(), '\r', '\n');
  text_ = own_;
}

std::optional<std::string_view> LineReader::next() {
  if (rest_.empty()) return std::nullopt;
  ++line_;
  const size_t end = std::min(rest_.find('\n'), rest_.size());
  std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

void check_text(std::string_view text, const std::string& name) {
  const size_t invalid = find_invalid_utf8(text), nul = std::min(text.find('\0'), text.size());
  const size_t at = std::min(invalid == kNoPosition ? text.size() : invalid, nul);
  if (at == text.size()) return;
  const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1;
  fail(ErrorKind::data, "{}:{}: {}; is this a text file in UTF-8?", name, line,
       at == nul ? "a NUL byte" : "bytes that are no valid UTF-8");
}

}  // namespace imgcap
