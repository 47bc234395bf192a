#include "tests/tensor/file_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <filesystem>
#include <iterator>

namespace tests {
namespace {

constinit thread_local FileCalls* active = nullptr;

}  // namespace

FileCalls* FileCalls::current() { return active; }

FileCalls::FileCalls() : outer_(active) { active = this; }
FileCalls::~FileCalls() { active = outer_; }

void FileCalls::fail(const std::string& name, int error, int good, int times) {
  faults_.push_back({name, error, good, times});
}

std::vector<FileCall> FileCalls::of(const std::string& name) const {
  std::vector<FileCall> some;
  std::copy_if(calls_.begin(), calls_.end(), std::back_inserter(some),
               [&](const FileCall& call) { return call.name == name; });
  return some;
}

std::string FileCalls::order() const {
  std::string text, last;
  for (const FileCall& call : calls_) {
    if (call.name != last) text += (text.empty() ? "" : " ") + call.name;
    last = call.name;
  }
  return text;
}

long FileCalls::call(FileCall call, int fd, size_t bytes,
                     long (*real)(const FileCall&, int fd, void* data, size_t bytes), void* data) {
  active = nullptr;  // what this function itself does is not of interest
  const auto k = static_cast<size_t>(fd);
  if (fd >= 0 && k < paths_.size()) call.path = paths_[k];
  int error = 0;
  for (Fault& fault : faults_) {
    if (fault.name != call.name || error != 0) continue;
    if (fault.good > 0) {
      --fault.good;
    } else if (fault.times > 0) {
      --fault.times;
      error = fault.error;
    }
  }
  bytes = std::min(bytes, most_);
  if (call.name == "write" && error == 0 && bytes > 0) {
    if (space_ == 0) error = ENOSPC;
    bytes = std::min(bytes, space_);
    if (space_ != SIZE_MAX) space_ -= bytes;
  }
  if (error != 0 && call.name == "close") real(call, fd, data, bytes);
  if (error == 0) {
    call.result = real(call, fd, data, bytes);
    error = call.result < 0 ? errno : 0;
  } else {
    call.result = -1;
  }
  if (call.name == "open" && call.result >= 0) {
    const auto opened = static_cast<size_t>(call.result);
    if (paths_.size() <= opened) paths_.resize(opened + 1);
    paths_[opened] = call.path;
  }
  const long result = call.result;
  calls_.push_back(std::move(call));
  active = this;
  if (error != 0) errno = error;
  return result;
}

int open_descriptors() {
  int count = -1;  // the listing's own
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    count += !entry.path().empty();
  return count;
}

}  // namespace tests

// The functions, under other names here: their declarations differ between versions of the C library. They go
// to the kernel themselves, so that it does not matter what else (a sanitizer) has put itself before the
// library's.
namespace {

using tests::FileCall;
using tests::FileCalls;

long real_open(const FileCall& call, int, void*, size_t) {
  return ::syscall(SYS_openat, AT_FDCWD, call.path.c_str(), call.flags, call.mode);
}
long real_read(const FileCall&, int fd, void* data, size_t bytes) {
  return ::syscall(SYS_read, fd, data, bytes);
}
long real_write(const FileCall&, int fd, void* data, size_t bytes) {
  return ::syscall(SYS_write, fd, data, bytes);
}
long real_fsync(const FileCall&, int fd, void*, size_t) { return ::syscall(SYS_fsync, fd); }
long real_close(const FileCall&, int fd, void*, size_t) { return ::syscall(SYS_close, fd); }

}  // namespace

extern "C" {

int test_open(const char* path, int flags, ...) __asm__("open");
int test_open64(const char* path, int flags, ...) __asm__("open64");
ssize_t test_read(int fd, void* data, size_t bytes) __asm__("read");
ssize_t test_write(int fd, const void* data, size_t bytes) __asm__("write");
int test_fsync(int fd) __asm__("fsync");
int test_close(int fd) __asm__("close");
int test_rename(const char* from, const char* to) __asm__("rename");
int test_unlink(const char* path) __asm__("unlink");

int test_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
  va_end(rest);
  FileCalls* const calls = FileCalls::current();
  if (calls == nullptr) return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  return static_cast<int>(
      calls->call({.name = "open", .path = path, .flags = flags, .mode = mode}, -1, 0, real_open, nullptr));
}

int test_open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
  va_end(rest);
  return test_open(path, flags, mode);
}

ssize_t test_read(int fd, void* data, size_t bytes) {
  FileCalls* const calls = FileCalls::current();
  if (calls == nullptr) return real_read({}, fd, data, bytes);
  return calls->call({.name = "read"}, fd, bytes, real_read, data);
}

ssize_t test_write(int fd, const void* data, size_t bytes) {
  FileCalls* const calls = FileCalls::current();
  void* const from = const_cast<void*>(data);
  if (calls == nullptr) return real_write({}, fd, from, bytes);
  return calls->call({.name = "write"}, fd, bytes, real_write, from);
}

int test_fsync(int fd) {
  FileCalls* const calls = FileCalls::current();
  if (calls == nullptr) return static_cast<int>(real_fsync({}, fd, nullptr, 0));
  return static_cast<int>(calls->call({.name = "fsync"}, fd, 0, real_fsync, nullptr));
}

int test_close(int fd) {
  FileCalls* const calls = FileCalls::current();
  if (calls == nullptr) return static_cast<int>(real_close({}, fd, nullptr, 0));
  return static_cast<int>(calls->call({.name = "close"}, fd, 0, real_close, nullptr));
}

int test_rename(const char* from, const char* to) {
  FileCalls* const calls = FileCalls::current();
  if (calls == nullptr) return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
  const auto real = [](const FileCall& call, int, void*, size_t) {
    return ::syscall(SYS_renameat2, AT_FDCWD, call.path.c_str(), AT_FDCWD, call.to.c_str(), 0);
  };
  return static_cast<int>(calls->call({.name = "rename", .path = from, .to = to}, -1, 0, real, nullptr));
}

int test_unlink(const char* path) {
  FileCalls* const calls = FileCalls::current();
  if (calls == nullptr) return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
  const auto real = [](const FileCall& call, int, void*, size_t) {
    return ::syscall(SYS_unlinkat, AT_FDCWD, call.path.c_str(), 0);
  };
  return static_cast<int>(calls->call({.name = "unlink", .path = path}, -1, 0, real, nullptr));
}

}  // extern "C"
