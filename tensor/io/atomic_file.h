// Files that are either whole or not there, and reading whole small files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tensor::io {

// Where the bytes of a file being written go; buffered. Every error is an io error with the file and the
// reason.
class FileWriter {
 public:
  FileWriter(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void flush();
  int64_t bytes_written() const { return written_; }  // with what is still in the buffer

 private:
  void write_out(std::span<const std::byte> bytes);

  int fd_;
  std::string name_;
  std::vector<std::byte> buffer_;
  int64_t written_ = 0;
};

// Writes `path` as a whole: to a temporary file in the same folder, then fsync, rename, fsync of the folder.
// Readers see the old file or the new one. On any error (a full disk, a missing or read-only folder, an
// exception of `fill`) the temporary is removed, an old file stays as it was, and the error is thrown: kind
// io, with the file and the reason. A link is followed, to a file that is not there yet, too, so that it
// stays a link. What is not a regular file
// (/dev/stdout, a pipe) cannot be replaced and is written to directly. `path` must not be a folder.
void write_file_atomically(const std::filesystem::path& path, const std::function<void(FileWriter&)>& fill);
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// Found out before the work, not after. Errors: io (the file's folder is not there, or the file is a folder).
void expect_writable(const std::filesystem::path& file);

// Removes the temporary files that processes which were killed left in the folder. Only for folders that no
// other machine writes to. Errors are ignored.
void remove_stale_temporaries(const std::filesystem::path& folder);

inline constexpr int64_t kDefaultReadLimit = int64_t{256} << 20;

// The bytes of a file (or pipe) of at most `limit` bytes. An io error when it is missing, a folder or
// unreadable; a data error when it is larger.
std::string read_file(const std::filesystem::path& path, int64_t limit = kDefaultReadLimit);

}  // namespace tensor::io
