// Files mapped into memory, and tensors over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "tensor/tensor.h"

namespace tensor::io {

// A whole file, read-only. It stays valid when the file is replaced by a rename (as write_file_atomically
// does), but not when someone shortens it in place.
class MappedFile {
 public:
  // An io error when `path` is missing, not a regular file or unreadable.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  int64_t size() const { return static_cast<int64_t>(size_); }
  const std::string& name() const { return name_; }

 private:
  MappedFile() = default;

  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string name_;
};

// A read-only, contiguous tensor over the file's bytes from `offset` on, which keeps the mapping alive; a
// copy where the bytes are not aligned for the dtype. The caller has checked that they are inside the file. A
// data error, which names the file and `name`, when a bool is neither 0 nor 1.
Tensor mapped_tensor(const std::shared_ptr<const MappedFile>& file, int64_t offset, const Shape& shape,
                     DType dtype, const std::string& name);

// The number of elements of a shape from a file, or -1 when it, its bytes or its strides do not fit 63 bits.
int64_t checked_numel(const Shape& shape, DType dtype);

}  // namespace tensor::io
