#include "tensor/io/tfrecord.h"

#include <array>

#include "tensor/error.h"

namespace tensor::io {
namespace {

constexpr size_t kHead = 12, kTail = 4;

std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xff);
  return text;
}

uint64_t number(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

bool has_checksum(std::string_view bytes, std::string_view checksum) {
  return masked_crc32c(bytes) == number(checksum);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
      t[i] = value;
    }
    return t;
  }();
  uint32_t crc = 0xffffffffu;
  for (const char c : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return crc ^ 0xffffffffu;
}

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

std::string tfrecord(std::string_view content) {
  std::string record = little_endian(content.size(), 8);
  record += little_endian(masked_crc32c(record), 4);
  record += content;
  return record + little_endian(masked_crc32c(content), 4);
}

bool looks_like_tfrecord(std::string_view bytes) {
  return bytes.size() >= kHead && has_checksum(bytes.substr(0, 8), bytes.substr(8, 4));
}

std::optional<std::string_view> TfrecordReader::next() {
  const std::string_view rest = file_.substr(at_);
  cut_ = !rest.empty() && rest.size() < kHead;
  if (rest.size() < kHead) return std::nullopt;
  check(looks_like_tfrecord(rest), ErrorKind::data,
        "{}: the record at byte {} has a damaged length (its CRC-32C differs)", name_, at_);
  const uint64_t size = number(rest.substr(0, 8));
  cut_ = size > rest.size() - kHead || rest.size() - kHead - size < kTail;
  if (cut_) return std::nullopt;
  const std::string_view content = rest.substr(kHead, static_cast<size_t>(size));
  check(has_checksum(content, rest.substr(kHead + content.size(), kTail)), ErrorKind::data,
        "{}: the record at byte {} is damaged (its CRC-32C differs)", name_, at_);
  at_ += kHead + content.size() + kTail;
  return content;
}

}  // namespace tensor::io
