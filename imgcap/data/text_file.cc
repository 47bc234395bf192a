#include "imgcap/data/text_file.h"

#include <algorithm>
#include <fstream>
#include <system_error>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

std::string read_text_file(const std::filesystem::path& file, size_t max_bytes) {
  const std::string name = file.string();
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  check(std::filesystem::exists(status), ErrorKind::io, "{}: there is no such file", name);
  check(!std::filesystem::is_directory(status), ErrorKind::io, "{}: is a folder, not a file", name);
  std::ifstream in(file, std::ios::binary);
  check(in.is_open(), ErrorKind::io, "{}: cannot be opened; is it readable?", name);
  // In pieces, because the size of a pipe is not known before.
  std::string text;
  constexpr size_t kPiece = size_t{1} << 20;
  while (in) {
    const size_t before = text.size();
    text.resize(before + kPiece);
    in.read(text.data() + before, static_cast<std::streamsize>(kPiece));
    text.resize(before + static_cast<size_t>(in.gcount()));
    check(text.size() <= max_bytes, ErrorKind::io, "{}: more than {} bytes, the limit for such a file", name,
          max_bytes);
  }
  check(!in.bad(), ErrorKind::io, "{}: reading failed after {} bytes", name, text.size());
  return text;
}

void write_text_file(const std::filesystem::path& file, std::string_view text) {
  std::filesystem::path temporary = file;
  temporary += ".tmp";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  check(out.is_open(), ErrorKind::io, "{}: cannot be written; does its folder exist and may you write there?",
        file.string());
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  std::error_code error;
  if (!out) {
    std::filesystem::remove(temporary, error);
    fail(ErrorKind::io, "{}: writing failed; is the disk full?", file.string());
  }
  std::filesystem::rename(temporary, file, error);
  if (error) {
    const std::string reason = error.message();
    std::filesystem::remove(temporary, error);
    fail(ErrorKind::io, "{}: cannot be replaced: {}", file.string(), reason);
  }
}

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
