#include "tensor/io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "tensor/error.h"

namespace tensor::io {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBuffer = size_t{1} << 16;
constexpr size_t kLargestWrite = size_t{1} << 30;  // Linux writes at most about 2 GiB a call

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_io(const std::string& name, const char* what, int error) {
  fail(ErrorKind::io, "{}: {}: {}", name, what, reason(error));
}

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  // Some file systems report a failed write only here.
  int close() {
    const int result = ::close(fd_);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

// Removes the temporary file unless it was renamed.
class Temporary {
 public:
  explicit Temporary(fs::path path) : path_(std::move(path)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!kept_) ::unlink(path_.c_str());
  }
  const fs::path& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  fs::path path_;
  bool kept_ = false;
};

int open_retrying(const char* path, int flags, mode_t mode = 0) {
  for (;;) {
    const int fd = ::open(path, flags | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EINTR) return fd;
  }
}

int fsync_retrying(int fd) {
  for (;;) {
    if (::fsync(fd) == 0) return 0;
    if (errno != EINTR) return -1;
  }
}

// Creates a new file beside `target`. The name holds the process number and a count; one left behind by a
// process that was killed is stepped over.
Temporary create_temporary(const fs::path& target, int& fd) {
  static std::atomic<uint64_t> count{0};
  // Cut, because the name with its suffix must stay within the file system's limit of 255 bytes.
  const std::string stem = target.filename().string().substr(0, 64);
  for (int attempt = 0;; ++attempt) {
    const fs::path path = target.parent_path() / tensor::format(".{}.{}-{}.tmp", stem, ::getpid(), ++count);
    fd = open_retrying(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd >= 0) return Temporary(path);
    if (errno != EEXIST || attempt >= 1000) fail_io(target.string(), "cannot be written", errno);
  }
}

// Where a new file goes: through links that lead to no file yet.
fs::path followed(const fs::path& path) {
  fs::path target = path;
  std::error_code error;
  for (int links = 0; fs::is_symlink(fs::symlink_status(target, error)); ++links) {
    const fs::path next = fs::read_symlink(target, error);
    if (error || links >= 40) fail_io(path.string(), "cannot be written", error ? error.value() : ELOOP);
    target = target.parent_path() / next;
  }
  return target;
}

void sync_folder(const fs::path& target) {
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const Descriptor fd(open_retrying(folder.c_str(), O_RDONLY | O_DIRECTORY));
  if (fd.get() < 0 && (errno == EACCES || errno == EPERM))
    return;  // a folder may be writable but not readable
  if (fd.get() < 0 || fsync_retrying(fd.get()) != 0) {
    if (errno == EINVAL || errno == ENOTSUP) return;  // a file system that cannot sync folders
    fail_io(target.string(), "was written, but its folder could not be flushed to disk", errno);
  }
}

}  // namespace

void FileWriter::write(std::span<const std::byte> bytes) {
  written_ += static_cast<int64_t>(bytes.size());
  if (buffer_.size() + bytes.size() > kBuffer) flush();
  if (bytes.size() >= kBuffer) {
    write_out(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void FileWriter::flush() {
  write_out(buffer_);
  buffer_.clear();
}

void FileWriter::write_out(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kLargestWrite));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(name_, "cannot be written", errno);
    if (n == 0) fail_io(name_, "cannot be written", ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void write_file_atomically(const fs::path& path, const std::function<void(FileWriter&)>& fill) {
  const std::string name = path.string();
  check(!path.empty() && path.has_filename(), ErrorKind::io, "{}: cannot be written: no file name", name);
  fs::path target = path;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) fail_io(name, "cannot be written", EISDIR);
    if (!S_ISREG(info.st_mode)) {
      const Descriptor fd(open_retrying(path.c_str(), O_WRONLY));
      if (fd.get() < 0) fail_io(name, "cannot be written", errno);
      FileWriter writer(fd.get(), name);
      fill(writer);
      writer.flush();
      return;
    }
    std::error_code error;
    target = fs::canonical(path, error);
    if (error) fail_io(name, "cannot be written", error.value());
  } else {
    target = followed(path);
  }

  int raw = -1;
  Temporary temporary = create_temporary(target, raw);
  Descriptor fd(raw);
  FileWriter writer(fd.get(), name);
  fill(writer);
  writer.flush();
  if (fsync_retrying(fd.get()) != 0) fail_io(name, "cannot be flushed to disk", errno);
  if (fd.close() != 0) fail_io(name, "cannot be written", errno);
  if (::rename(temporary.path().c_str(), target.c_str()) != 0) fail_io(name, "cannot be replaced", errno);
  temporary.keep();
  sync_folder(target);
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  write_file_atomically(path, [&](FileWriter& writer) { writer.write(bytes); });
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, [&](FileWriter& writer) { writer.write(text); });
}

void expect_writable(const std::filesystem::path& file) {
  std::error_code error;
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  check(std::filesystem::is_directory(folder, error), ErrorKind::io, "{}: there is no folder {}",
        file.string(), folder.string());
  check(!std::filesystem::is_directory(file, error), ErrorKind::io, "{}: is a folder", file.string());
}

void remove_stale_temporaries(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    // ".NAME.PROCESS-COUNT.tmp", as create_temporary makes them.
    const std::string name = entry.path().filename().string();
    const size_t dash = name.rfind('-'), dot = dash == std::string::npos ? dash : name.rfind('.', dash);
    if (!name.starts_with('.') || !name.ends_with(".tmp") || dot == std::string::npos || dot == 0) continue;
    int process = 0;
    const char *first = name.data() + dot + 1, *last = name.data() + dash;
    const auto [end, bad] = std::from_chars(first, last, process);
    if (bad == std::errc() && end == last && process > 0 && ::kill(process, 0) != 0 && errno == ESRCH)
      stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) fs::remove(path, error);
}

std::string read_file(const fs::path& path, int64_t limit) {
  const std::string name = path.string();
  const Descriptor fd(open_retrying(path.c_str(), O_RDONLY));
  if (fd.get() < 0) fail_io(name, "cannot be read", errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) fail_io(name, "cannot be read", errno);
  if (S_ISDIR(info.st_mode)) fail_io(name, "cannot be read", EISDIR);

  // The size is only a hint: pipes have none, and a file may grow meanwhile.
  const auto too_big = [&](int64_t size) {
    fail(ErrorKind::data, "{}: {} bytes or more; at most {} are read", name, size, limit);
  };
  if (S_ISREG(info.st_mode) && info.st_size > limit) too_big(info.st_size);
  std::string content;
  if (S_ISREG(info.st_mode)) content.reserve(static_cast<size_t>(info.st_size) + 1);
  std::vector<char> block(kBuffer);
  for (;;) {
    const ssize_t n = ::read(fd.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(name, "cannot be read", errno);
    if (n == 0) return content;
    content.append(block.data(), static_cast<size_t>(n));
    if (static_cast<int64_t>(content.size()) > limit) too_big(static_cast<int64_t>(content.size()));
  }
}

}  // namespace tensor::io
