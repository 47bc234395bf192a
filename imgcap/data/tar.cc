#include "imgcap/data/tar.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

constexpr int64_t kBlock = 512;
constexpr int64_t kMaxExtra = 1 << 20;  // bytes of a long name or of a pax header
using Block = std::array<uint8_t, kBlock>;

std::string_view field(const Block& block, size_t at, size_t length) {
  const std::string_view all(reinterpret_cast<const char*>(block.data()) + at, length);
  return all.substr(0, all.find('\0'));
}

// Octal digits between blanks, or GNU's big-endian binary with the top bit set. Negative when it is neither.
int64_t number(const Block& block, size_t at, size_t length) {
  if ((block[at] & 0x80) != 0) {
    if (block[at] != 0x80) return -1;  // negative, or beyond what fits
    int64_t value = 0;
    for (size_t i = at + 1; i < at + length; ++i) {
      if (value > (INT64_MAX >> 8)) return -1;
      value = value << 8 | block[i];
    }
    return value;
  }
  std::string_view text = field(block, at, length);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  int64_t value = 0;  // at most 12 digits: fits
  for (const char c : text) {
    if (c < '0' || c > '7') return -1;
    value = value * 8 + (c - '0');
  }
  return value;
}

bool checksum_fits(const Block& block) {
  // Counted with its own field as blanks; some old programs summed signed characters.
  int64_t plain = 0, with_sign = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const uint8_t byte = i >= 148 && i < 156 ? ' ' : block[i];
    plain += byte;
    with_sign += static_cast<int8_t>(byte);
  }
  const int64_t stored = number(block, 148, 8);
  return stored == plain || stored == with_sign;
}

// What a pax header or a GNU long name says about the next member.
struct Pending {
  std::string name;
  int64_t size = -1;
};

// Records "LENGTH KEY=VALUE\n", where LENGTH counts the whole record.
void read_pax(std::string_view text, Pending& pending, const std::string& name, int64_t offset) {
  while (!text.empty()) {
    size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto digits = static_cast<size_t>(end - text.data());
    check(error == std::errc{} && length <= text.size() && digits + 3 <= length && *end == ' ' &&
              text[length - 1] == '\n',
          ErrorKind::data, "{}: the pax header at byte {} is damaged", name, offset);
    const std::string_view record = text.substr(digits + 1, length - digits - 2);
    text.remove_prefix(length);
    const size_t equals = record.find('=');
    check(equals != std::string_view::npos, ErrorKind::data, "{}: the pax header at byte {} is damaged", name,
          offset);
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    check(key.substr(0, 10) != "GNU.sparse", ErrorKind::data,
          "{}: the member after byte {} is sparse: make the archive without --sparse", name, offset);
    if (key == "path") pending.name = value;
    if (key != "size") continue;
    const auto [stop, bad] = std::from_chars(value.data(), value.data() + value.size(), pending.size);
    check(bad == std::errc{} && stop == value.data() + value.size() && pending.size >= 0, ErrorKind::data,
          "{}: the pax header at byte {} gives the size {}", name, offset, tensor::io::in_quotes(value));
  }
}

std::string member_name(const Block& block) {
  std::string name(field(block, 0, 100));
  // Only POSIX's magic promises a prefix there; GNU's ("ustar  ") keeps times in the same place.
  if (std::memcmp(block.data() + 257, "ustar\0", 6) == 0) {
    const std::string_view prefix = field(block, 345, 155);
    if (!prefix.empty()) name = std::string(prefix) + "/" + name;
  }
  return name;
}

}  // namespace

void read_at(int descriptor, int64_t offset, uint8_t* out, int64_t size, const std::string& name) {
  while (size > 0) {
    const ssize_t got = ::pread(descriptor, out, static_cast<size_t>(size), offset);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, ErrorKind::io, "{}: cannot be read at byte {}: {}", name, offset, std::strerror(errno));
    check(got > 0, ErrorKind::data, "{}: ends at byte {}, {} bytes too early", name, offset, size);
    out += got, offset += got, size -= got;
  }
}

std::vector<TarMember> read_tar_index(int descriptor, const std::string& name) {
  struct stat info {};
  check(::fstat(descriptor, &info) == 0, ErrorKind::io, "{}: cannot be read: {}", name, std::strerror(errno));
  const int64_t total = info.st_size;
  std::vector<TarMember> members;
  Pending pending;
  Block block;
  for (int64_t at = 0;;) {
    check(total - at >= kBlock, ErrorKind::data, "{}: the archive is cut short: no end mark at byte {}", name,
          at);
    read_at(descriptor, at, block.data(), kBlock, name);
    if (std::all_of(block.begin(), block.end(), [](uint8_t byte) { return byte == 0; })) return members;
    check(checksum_fits(block), ErrorKind::data, "{}: wrong checksum in the tar header at byte {}", name, at);
    const char type = static_cast<char>(block[156]);
    const bool extra = type == 'L' || type == 'K' || type == 'x' || type == 'g';
    const int64_t stored = number(block, 124, 12);
    check(stored >= 0, ErrorKind::data, "{}: the size in the tar header at byte {} is no number", name, at);
    int64_t size = !extra && pending.size >= 0 ? pending.size : stored;
    // Links, devices and folders have no bytes, whatever the field says.
    if (type >= '1' && type <= '6') size = 0;
    const int64_t data = at + kBlock;
    check(size <= total - data, ErrorKind::data,
          "{}: the archive is cut short: the member at byte {} has {} bytes, the file only {} more", name, at,
          size, total - data);
    if (extra) {
      check(size <= kMaxExtra, ErrorKind::data, "{}: the extra header at byte {} has {} bytes", name, at,
            size);
      std::string text(static_cast<size_t>(size), '\0');
      read_at(descriptor, data, reinterpret_cast<uint8_t*>(text.data()), size, name);
      if (type == 'L') pending.name = text.substr(0, text.find('\0'));
      if (type == 'x') read_pax(text, pending, name, at);
    } else {
      check(type != 'S', ErrorKind::data,
            "{}: the member at byte {} is sparse: make the archive without --sparse", name, at);
      if (type == '0' || type == '\0' || type == '7') {
        std::string member = pending.name.empty() ? member_name(block) : std::move(pending.name);
        // Before POSIX, a folder was a file whose name ends in a slash.
        if (!member.empty() && member.back() != '/') members.push_back({std::move(member), data, size});
      }
      pending = {};
    }
    at = data + (size + kBlock - 1) / kBlock * kBlock;
    // The last member's padding may be missing only together with the end mark.
    check(at <= total, ErrorKind::data, "{}: the archive is cut short at byte {}", name, total);
  }
}

}  // namespace imgcap
