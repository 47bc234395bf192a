// TFRecord framing: the records of TensorBoard's event files. A record is its length (8 bytes,
// little-endian), a checksum of the length, the content and a checksum of the content. Specification:
// https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tensor::io {

// CRC-32C (Castagnoli) as in RFC 3720, B.4.
uint32_t crc32c(std::string_view bytes);
// As TFRecord stores it: rotated and moved, since checksums of what holds checksums are weak.
uint32_t masked_crc32c(std::string_view bytes);

std::string tfrecord(std::string_view content);

// Whether the bytes begin with the head of a record.
bool looks_like_tfrecord(std::string_view bytes);

// The records of a file, one after the other; nothing is copied. A file that is still being written, or whose
// writer was killed, may end inside of a record: then `is_cut`, and what is whole has been read. A data
// error, with the name and the byte, when a checksum is wrong.
class TfrecordReader {
 public:
  TfrecordReader(std::string_view file, std::string name) : file_(file), name_(std::move(name)) {}

  std::optional<std::string_view> next();
  bool is_cut() const { return cut_; }
  int64_t position() const { return static_cast<int64_t>(at_); }  // of the next record

 private:
  std::string_view file_;
  std::string name_;
  size_t at_ = 0;
  bool cut_ = false;
};

}  // namespace tensor::io
