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
