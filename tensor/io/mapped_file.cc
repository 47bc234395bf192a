#include "tensor/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "tensor/io/text.h"

namespace tensor::io {

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->name_ = path.string();
  const auto fail_errno = [&](int error) {
    fail(ErrorKind::io, "{}: cannot be read: {}", file->name_, std::generic_category().message(error));
  };
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_errno(errno);
  struct stat info {};
  int error = ::fstat(fd, &info) == 0 ? 0 : errno;
  if (error == 0 && S_ISDIR(info.st_mode)) error = EISDIR;
  const bool regular = S_ISREG(info.st_mode);
  if (error == 0 && regular && info.st_size > 0) {
    void* data = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      error = errno;
    } else {
      file->data_ = static_cast<const std::byte*>(data);
      file->size_ = static_cast<size_t>(info.st_size);
    }
  }
  ::close(fd);
  if (error != 0) fail_errno(error);
  check(regular, ErrorKind::io, "{}: cannot be read: not a regular file", file->name_);
  return file;
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

Tensor mapped_tensor(const std::shared_ptr<const MappedFile>& file, int64_t offset, const Shape& shape,
                     DType dtype, const std::string& name) {
  const int64_t bytes = shape.numel() * size_of(dtype);
  if (bytes == 0) return Tensor::empty(shape, dtype);
  const std::byte* data = file->bytes().data() + offset;
  if (dtype == DType::boolean) {
    // Reading any other value as a bool is undefined.
    const auto* bad = std::find_if(data, data + bytes, [](std::byte b) { return b > std::byte{1}; });
    check(bad == data + bytes, ErrorKind::data, "{}: {}: element {} is {}; a bool is 0 or 1", file->name(),
          in_quotes(name), bad - data, static_cast<int>(bad == data + bytes ? std::byte{0} : *bad));
  }
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(size_of(dtype)) == 0) {
    return Tensor::wrap(data, shape, dtype, file);
  }
  Tensor copy = Tensor::empty(shape, dtype);
  std::memcpy(copy.mutable_raw(), data, static_cast<size_t>(bytes));
  return copy;
}

int64_t checked_numel(const Shape& shape, DType dtype) {
  // Sizes of 0 count as 1, so that the strides fit too.
  int64_t product = size_of(dtype), numel = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(product, std::max<int64_t>(size, 1), &product)) return -1;
    numel *= size;
  }
  return numel;
}

}  // namespace tensor::io
