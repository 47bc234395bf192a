// Text files from users, taken apart into lines and checked.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace imgcap {

// The text without the byte order mark that some editors put before it.
std::string_view without_byte_order_mark(std::string_view text);

// A text as it is in UTF-8 with LF or CRLF: without its byte order mark, from UTF-16 where it has that one's
// mark, and with LF for CR where it has no LF at all. Errors: data ("name:line: ...", the first line that is
// malformed or has a NUL byte).
class PlainText {
 public:
  PlainText(std::string_view bytes, const std::string& name);  // the bytes have to live as long
  PlainText(const PlainText&) = delete;
  PlainText& operator=(const PlainText&) = delete;
  std::string_view text() const { return text_; }

 private:
  std::string own_;  // where it is another than the bytes
  std::string_view text_;
};

// The lines of a text without their ends (LF or CRLF); the last one may lack its end. A byte order mark is
// skipped.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(without_byte_order_mark(text)) {}
  std::optional<std::string_view> next();
  size_t line_number() const { return line_; }  // of the line that next() gave last, from 1

 private:
  std::string_view rest_;
  size_t line_ = 0;
};

// Errors: data ("name:line: ...", the first line that has a NUL byte or malformed UTF-8).
void check_text(std::string_view text, const std::string& name);

}  // namespace imgcap
