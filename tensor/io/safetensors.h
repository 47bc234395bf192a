// The safetensors format: an 8-byte little-endian header length, a JSON header, the tensors' bytes.
// Specification: https://github.com/huggingface/safetensors#format
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "tensor/tensor.h"

namespace tensor::io {

struct SafetensorsFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// What the header says of one tensor.
struct SafetensorsEntry {
  DType dtype = DType::f32;
  Shape shape;
  int64_t begin = 0, end = 0;  // bytes from the start of the file
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
  int64_t file_bytes = 0;
};

// The file's tensors, as read-only views of the mapped file (copies where a header of odd length
// leaves the data unaligned, which the format allows). Takes F32 F64 F16 BF16 I32 I64 U8 BOOL and at most 8
// dimensions. A file is hostile until checked: everything that the format does not allow is a data error that
// names the file and the tensor; an unreadable file is an io error. Replace such a file by renaming only:
// shortening it in place takes the memory away.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

// The same checks (but for the values of BOOL tensors) without touching the tensors' bytes.
SafetensorsHeader read_safetensors_header(const std::filesystem::path& path);

// Writes the file as a whole or not at all (see write_file_atomically). The bytes depend on the arguments
// only: tensors are ordered by element size, largest first, then by name, which aligns all of them without
// holes. Tensors may be strided or on any device. An argument error for an undefined tensor, the name
// "__metadata__", a name with a NUL character or text that is not UTF-8; an io error when the file cannot be
// written.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace tensor::io
