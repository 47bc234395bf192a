// Protocol buffers' wire format, by hand: what TensorBoard's event files and ONNX models are written in. A
// message is a row of fields, each a number with a value; what the numbers mean is in the formats' schemas.
// Specification: https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tensor::io {

// A message in the making. Fields stand in the order in which they are added. Field numbers are from 1 on.
class ProtobufWriter {
 public:
  void varint(int field, int64_t value);  // int32, int64, bool, enum; negative ones take ten bytes
  void fixed32(int field, float value);
  void fixed64(int field, double value);
  void bytes(int field, std::string_view value);  // string, bytes
  void message(int field, const ProtobufWriter& value) { bytes(field, value.data()); }
  // What stands before `size` bytes of a field that are not copied here but written after this.
  void prefix(int field, uint64_t size);

  const std::string& data() const { return data_; }

 private:
  void tag(int field, unsigned wire);
  void raw(uint64_t value, int bytes);
  void varint(uint64_t value);

  std::string data_;
};

enum class ProtobufType { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct ProtobufField {
  int number = 0;
  ProtobufType type = ProtobufType::varint;
  uint64_t value = 0;      // of the types with a number: its bits
  std::string_view bytes;  // of bytes: a string or a message inside

  // The field as what the schema says. No value when the field is of another type.
  std::optional<int64_t> as_int64() const;
  std::optional<float> as_float() const;
  std::optional<double> as_double() const;
  std::optional<std::string_view> as_bytes() const;
};

// The fields of a message, one after the other; nothing is copied, so the bytes have to outlive the reader. A
// message is hostile until read: data errors, with the name and the byte, for a field that does not end
// inside of its message, a varint of more than 64 bits, a field number 0 or of more than 29 bits, groups (an
// old type that no format here has), messages inside each other beyond kDeepest, and more than kMostFields
// fields.
class ProtobufReader {
 public:
  static constexpr int kDeepest = 32;
  static constexpr int64_t kMostFields = 1 << 24;  // of one message

  // `name` stands for the file in messages.
  ProtobufReader(std::string_view message, std::string name);

  std::optional<ProtobufField> next();
  // The message that a field of this one holds. A data error when the field holds none.
  ProtobufReader inside(const ProtobufField& field) const;
  // The numbers of a repeated field, whether it is packed (one field with all of them) or not (one each).
  std::vector<int64_t> integers(const ProtobufField& field) const;

 private:
  ProtobufReader(std::string_view message, std::string name, int64_t offset, int depth);
  [[noreturn]] void damaged(const char* what) const;
  uint64_t varint();
  uint64_t fixed(size_t count);

  std::string_view message_;
  std::string name_;
  int64_t offset_ = 0;  // of the message in the outermost one
  int depth_ = 0;
  size_t at_ = 0;
  int64_t fields_ = 0;
};

}  // namespace tensor::io
