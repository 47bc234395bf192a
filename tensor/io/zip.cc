#include "tensor/io/zip.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/io/text.h"

namespace tensor::io {
namespace {

constexpr uint64_t kLargestEntryCount = 1'000'000;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kCentralBytes = 46, kLocalBytes = 30;
constexpr uint32_t kEndSignature = 0x06054b50, kEnd64Signature = 0x06064b50, kLocatorSignature = 0x07064b50,
                   kCentralSignature = 0x02014b50, kLocalSignature = 0x04034b50;

// Little-endian numbers and text at checked positions.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}
  uint64_t size() const { return bytes_.size(); }
  bool contains(uint64_t offset, uint64_t count) const {
    return offset <= bytes_.size() && count <= bytes_.size() - offset;
  }
  uint64_t number(uint64_t offset, size_t count) const {
    need(offset, count);
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= static_cast<uint64_t>(bytes_[offset + i]) << (8 * i);
    return value;
  }
  uint16_t u16(uint64_t offset) const { return static_cast<uint16_t>(number(offset, 2)); }
  uint32_t u32(uint64_t offset) const { return static_cast<uint32_t>(number(offset, 4)); }
  uint64_t u64(uint64_t offset) const { return number(offset, 8); }
  std::string text(uint64_t offset, uint64_t count) const {
    need(offset, count);
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, count};
  }

 private:
  void need(uint64_t offset, uint64_t count) const {
    check(contains(offset, count), ErrorKind::data, "{}: the zip archive is cut off or damaged at byte {}",
          file_, offset);
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
};

struct Directory {
  uint64_t offset, size, count;
};

Directory find_directory(const Bytes& in, const std::string& file) {
  // The end record is the last thing but for a comment of up to 65,535 bytes. It has to end where the file
  // ends.
  uint64_t end = 0;
  bool found = false;
  const uint64_t lowest = in.size() > kEndBytes + 65535 ? in.size() - kEndBytes - 65535 : 0;
  for (uint64_t at = in.size() >= kEndBytes ? in.size() - kEndBytes + 1 : 0; !found && at-- > lowest;) {
    found = in.u32(at) == kEndSignature && at + kEndBytes + in.u16(at + 20) == in.size();
    end = at;
  }
  check(found, ErrorKind::data,
        "{}: the end of the zip archive is missing: the file is cut off or not a zip archive", file);
  check(in.u16(end + 4) == 0 && in.u16(end + 6) == 0, ErrorKind::data,
        "{}: the zip archive is split over several files", file);
  Directory d{in.u32(end + 16), in.u32(end + 12), in.u16(end + 10)};
  uint64_t directory_end = end;
  // Values that do not fit are all ones, and then a zip64 record before the end record has them. PyTorch
  // always writes one.
  if (end >= kLocatorBytes && in.u32(end - kLocatorBytes) == kLocatorSignature) {
    const uint64_t at = in.u64(end - kLocatorBytes + 8);
    check(in.contains(at, kEnd64Bytes) && at + kEnd64Bytes <= end - kLocatorBytes &&
              in.u32(at) == kEnd64Signature,
          ErrorKind::data, "{}: the zip64 end record is damaged", file);
    check(in.u32(at + 16) == 0 && in.u32(at + 20) == 0, ErrorKind::data,
          "{}: the zip archive is split over several files", file);
    if (d.count == 0xffff) d.count = in.u64(at + 32);
    if (d.size == 0xffffffff) d.size = in.u64(at + 40);
    if (d.offset == 0xffffffff) d.offset = in.u64(at + 48);
    directory_end = at;
  }
  check(d.offset <= directory_end && d.size == directory_end - d.offset, ErrorKind::data,
        "{}: the zip directory at byte {} with {} bytes does not end at byte {}", file, d.offset, d.size,
        directory_end);
  check(d.count <= kLargestEntryCount, ErrorKind::data, "{}: {} zip entries; at most {} are read", file,
        d.count, kLargestEntryCount);
  return d;
}

// Replaces what is all ones in the central header by the values of its zip64 field.
void apply_zip64(const Bytes& in, uint64_t extra, uint64_t extra_size, uint64_t& size, uint64_t& packed,
                 uint64_t& offset, const std::string& file, const std::string& name) {
  for (uint64_t at = extra, end = extra + extra_size; at < end;) {
    check(end - at >= 4, ErrorKind::data, "{}: {}: its zip header is damaged", file, in_quotes(name));
    const uint16_t id = in.u16(at);
    const uint64_t field_end = at + 4 + in.u16(at + 2);
    check(field_end <= end, ErrorKind::data, "{}: {}: its zip header is damaged", file, in_quotes(name));
    at += 4;
    if (id == 1) {
      for (uint64_t* value : {&size, &packed, &offset}) {
        if (*value != 0xffffffff) continue;
        check(field_end - at >= 8, ErrorKind::data, "{}: {}: its zip64 header is damaged", file,
              in_quotes(name));
        *value = in.u64(at);
        at += 8;
      }
      return;
    }
    at = field_end;
  }
}

}  // namespace

std::map<std::string, ZipEntry> read_zip_directory(std::span<const std::byte> archive,
                                                   const std::string& file) {
  const Bytes in(archive, file);
  const Directory directory = find_directory(in, file);
  std::map<std::string, ZipEntry> entries;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;  // local header to the end of the content
  uint64_t at = directory.offset;
  const uint64_t end = directory.offset + directory.size;
  for (uint64_t i = 0; i < directory.count; ++i) {
    check(end - at >= kCentralBytes && in.u32(at) == kCentralSignature, ErrorKind::data,
          "{}: the zip directory is damaged at byte {} (entry {} of {})", file, at, i + 1, directory.count);
    const uint64_t name_size = in.u16(at + 28), extra_size = in.u16(at + 30), comment_size = in.u16(at + 32);
    check(end - at - kCentralBytes >= name_size + extra_size + comment_size, ErrorKind::data,
          "{}: the zip directory is damaged at byte {} (entry {} of {})", file, at, i + 1, directory.count);
    std::string name = in.text(at + kCentralBytes, name_size);
    const uint16_t flags = in.u16(at + 8), method = in.u16(at + 10);
    uint64_t packed = in.u32(at + 20), size = in.u32(at + 24), offset = in.u32(at + 42);
    apply_zip64(in, at + kCentralBytes + name_size, extra_size, size, packed, offset, file, name);
    check((flags & 1) == 0, ErrorKind::data, "{}: {}: encrypted zip entries are not supported", file,
          in_quotes(name));
    check(method != 0 || packed == size, ErrorKind::data, "{}: {}: stored, but with two sizes, {} and {}",
          file, in_quotes(name), packed, size);

    check(in.contains(offset, kLocalBytes) && in.u32(offset) == kLocalSignature, ErrorKind::data,
          "{}: {}: no zip header at byte {}", file, in_quotes(name), offset);
    const uint64_t local_name_size = in.u16(offset + 26);
    const uint64_t content = offset + kLocalBytes + local_name_size + in.u16(offset + 28);
    check(in.u16(offset + 8) == method && local_name_size == name_size &&
              in.text(offset + kLocalBytes, local_name_size) == name,
          ErrorKind::data, "{}: {}: its zip headers at bytes {} and {} differ", file, in_quotes(name), offset,
          at);
    check(content <= directory.offset && packed <= directory.offset - content, ErrorKind::data,
          "{}: {}: {} bytes at byte {} reach into the zip directory", file, in_quotes(name), packed, content);
    ranges.emplace_back(offset, content + packed);
    const ZipEntry entry{static_cast<int64_t>(content), static_cast<int64_t>(packed), in.u32(at + 16),
                         method != 0};
    const auto [position, is_new] = entries.emplace(std::move(name), entry);
    check(is_new, ErrorKind::data, "{}: {}: appears twice in the zip archive", file,
          in_quotes(position->first));
    at += kCentralBytes + name_size + extra_size + comment_size;
  }
  check(at == end, ErrorKind::data, "{}: {} bytes after the last entry of the zip directory", file, end - at);
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    check(ranges[i - 1].second <= ranges[i].first, ErrorKind::data, "{}: zip entries overlap at byte {}",
          file, ranges[i].first);
  }
  return entries;
}

std::span<const std::byte> zip_content(std::span<const std::byte> archive, const std::string& file,
                                       std::string_view name, const ZipEntry& entry) {
  check(!entry.compressed, ErrorKind::data,
        "{}: {}: compressed zip entries are not supported; PyTorch stores without compression", file,
        in_quotes(name));
  const auto content = archive.subspan(static_cast<size_t>(entry.offset), static_cast<size_t>(entry.size));
  const uint32_t crc = crc32(content);
  check(crc == entry.crc, ErrorKind::data,
        "{}: {}: the content is damaged: CRC-32 {:08x}, {:08x} expected (or PyTorch was told not to compute "
        "it)",
        file, in_quotes(name), crc, entry.crc);
  return content;
}

uint32_t crc32(std::span<const std::byte> bytes) {
  // Eight bytes at a time: table k holds the effect of a byte that k more bytes follow.
  static const auto tables = [] {
    std::array<std::array<uint32_t, 256>, 8> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xedb88320u : 0u);
      t[0][i] = value;
    }
    for (size_t k = 1; k < 8; ++k) {
      for (size_t i = 0; i < 256; ++i) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 0xff];
    }
    return t;
  }();
  uint32_t crc = 0xffffffffu;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const auto at = [&](size_t k) { return static_cast<uint32_t>(bytes[i + k]); };
    const uint32_t low = crc ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
    crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
          tables[4][low >> 24] ^ tables[3][at(4)] ^ tables[2][at(5)] ^ tables[1][at(6)] ^ tables[0][at(7)];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ tables[0][(crc ^ static_cast<uint32_t>(bytes[i])) & 0xff];
  return crc ^ 0xffffffffu;
}

}  // namespace tensor::io
