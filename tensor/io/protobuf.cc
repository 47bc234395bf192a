#include "tensor/io/protobuf.h"

#include <bit>
#include <utility>

#include "tensor/error.h"

namespace tensor::io {
namespace {

constexpr uint64_t kLargestField = (uint64_t{1} << 29) - 1;

}  // namespace

void ProtobufWriter::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) data_ += static_cast<char>((value & 0x7f) | 0x80);
  data_ += static_cast<char>(value);
}

void ProtobufWriter::raw(uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) data_ += static_cast<char>((value >> (8 * i)) & 0xff);
}

void ProtobufWriter::tag(int field, unsigned wire) {
  check(field > 0 && static_cast<uint64_t>(field) <= kLargestField, ErrorKind::internal,
        "protobuf: {} is no field number", field);
  varint((static_cast<uint64_t>(field) << 3) | wire);
}

void ProtobufWriter::varint(int field, int64_t value) {
  tag(field, 0);
  varint(static_cast<uint64_t>(value));
}

void ProtobufWriter::fixed32(int field, float value) {
  tag(field, 5);
  raw(std::bit_cast<uint32_t>(value), 4);
}

void ProtobufWriter::fixed64(int field, double value) {
  tag(field, 1);
  raw(std::bit_cast<uint64_t>(value), 8);
}

void ProtobufWriter::prefix(int field, uint64_t size) {
  tag(field, 2);
  varint(size);
}

void ProtobufWriter::bytes(int field, std::string_view value) {
  prefix(field, value.size());
  data_ += value;
}

std::optional<int64_t> ProtobufField::as_int64() const {
  if (type != ProtobufType::varint) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::optional<float> ProtobufField::as_float() const {
  if (type != ProtobufType::fixed32) return std::nullopt;
  return std::bit_cast<float>(static_cast<uint32_t>(value));
}

std::optional<double> ProtobufField::as_double() const {
  if (type != ProtobufType::fixed64) return std::nullopt;
  return std::bit_cast<double>(value);
}

std::optional<std::string_view> ProtobufField::as_bytes() const {
  if (type != ProtobufType::bytes) return std::nullopt;
  return bytes;
}

ProtobufReader::ProtobufReader(std::string_view message, std::string name)
    : ProtobufReader(message, std::move(name), 0, 0) {}

ProtobufReader::ProtobufReader(std::string_view message, std::string name, int64_t offset, int depth)
    : message_(message), name_(std::move(name)), offset_(offset), depth_(depth) {
  if (depth_ > kDeepest) damaged("too many messages inside each other");
}

void ProtobufReader::damaged(const char* what) const {
  fail(ErrorKind::data, "{}: byte {} of the message: {}", name_, offset_ + static_cast<int64_t>(at_), what);
}

uint64_t ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == message_.size()) damaged("it ends inside of a number");
    const auto byte = static_cast<unsigned char>(message_[at_++]);
    // Nine times seven bits leave one for the tenth byte.
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  damaged("a number of more than 64 bits");
}

uint64_t ProtobufReader::fixed(size_t count) {
  if (message_.size() - at_ < count) damaged("it ends inside of a number");
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(message_[at_++])) << (8 * i);
  return value;
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (at_ == message_.size()) return std::nullopt;
  if (++fields_ > kMostFields) damaged("too many fields");
  const uint64_t tag = varint();
  if (tag >> 3 == 0 || tag >> 3 > kLargestField) damaged("no field number");
  ProtobufField field;
  field.number = static_cast<int>(tag >> 3);
  switch (tag & 7) {
    case 0:
      field.value = varint();
      break;
    case 1:
      field.value = fixed(8);
      break;
    case 5:
      field.value = fixed(4);
      break;
    case 2: {
      const uint64_t size = varint();
      if (size > message_.size() - at_) damaged("a field is longer than its message");
      field.bytes = message_.substr(at_, static_cast<size_t>(size));
      at_ += field.bytes.size();
      break;
    }
    default:
      damaged("a field of no known type");
  }
  field.type = static_cast<ProtobufType>(tag & 7);
  return field;
}

ProtobufReader ProtobufReader::inside(const ProtobufField& field) const {
  if (field.type != ProtobufType::bytes) damaged("a number where a message is due");
  return {field.bytes, name_, offset_ + (field.bytes.data() - message_.data()), depth_ + 1};
}

std::vector<int64_t> ProtobufReader::integers(const ProtobufField& field) const {
  if (field.type == ProtobufType::varint) return {static_cast<int64_t>(field.value)};
  ProtobufReader packed = inside(field);
  std::vector<int64_t> values;
  while (packed.at_ < packed.message_.size()) values.push_back(static_cast<int64_t>(packed.varint()));
  return values;
}

}  // namespace tensor::io
