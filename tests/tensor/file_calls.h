// What tensor/io asks of the operating system: seen, and made to fail.
#pragma once

#include <climits>
#include <cstddef>
#include <string>
#include <vector>

namespace tests {

struct FileCall {
  std::string name;       // "open", "read", "write", "fsync", "close", "rename" or "unlink"
  std::string path = {};  // of the file, for those that get a descriptor, too
  std::string to = {};    // of rename
  int flags = 0;          // of open
  int mode = 0;
  long result = 0;  // bytes, for read and write; -1 for failed
};

// While it lives, all such calls of this thread are noted, and some go wrong: this program's own definitions
// of these functions come before the C library's. (The test's own reading of files is seen, too.)
class FileCalls {
 public:
  FileCalls();
  ~FileCalls();
  FileCalls(const FileCalls&) = delete;
  FileCalls& operator=(const FileCalls&) = delete;

  // After `good` calls of this name the next `times` fail with `error`, and do nothing; close closes all the
  // same.
  void fail(const std::string& name, int error, int good = 0, int times = 1);
  // The disk takes so many bytes more: a write that reaches its end is short, the next one fails with ENOSPC.
  void disk_space(size_t bytes) { space_ = bytes; }
  // No read or write moves more than this at once.
  void at_most(size_t bytes) { most_ = bytes; }

  const std::vector<FileCall>& all() const { return calls_; }
  std::vector<FileCall> of(const std::string& name) const;
  // The names in order, "open write fsync"; a name that comes several times in a row once.
  std::string order() const;

  // For the functions themselves.
  long call(FileCall call, int fd, size_t bytes,
            long (*real)(const FileCall&, int fd, void* data, size_t bytes), void* data);
  static FileCalls* current();

 private:
  struct Fault {
    std::string name;
    int error, good, times;
  };
  std::vector<FileCall> calls_;
  std::vector<Fault> faults_;
  std::vector<std::string> paths_;  // by descriptor
  size_t space_ = SIZE_MAX, most_ = SIZE_MAX;
  FileCalls* outer_;
};

// The descriptors that this process has open.
int open_descriptors();

}  // namespace tests
