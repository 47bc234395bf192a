#include "imgcap/cli/new_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>

#include "tensor/error.h"

namespace imgcap::cli {

namespace fs = std::filesystem;
using tensor::check;
using tensor::ErrorKind;

namespace {

// The target without a slash at its end and with links followed.
fs::path expect_free(const fs::path& target) {
  std::error_code error;
  const bool there = fs::exists(target, error);
  check(!error, ErrorKind::io, "{}: cannot be made: {}", target.string(), error.message());
  check(!there || (fs::is_directory(target) && fs::is_empty(target)), ErrorKind::argument,
        "{}: there is something in its place; it has to be a new or an empty folder", target.string());
  const fs::path path = there ? fs::canonical(target) : fs::absolute(target).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

NewFolder::NewFolder(const fs::path& target) : target_(expect_free(target)), parent_(target_.parent_path()) {
  temporary_ = target_.parent_path() /
               tensor::format(".{}.{}.tmp", target_.filename().string(), static_cast<int64_t>(::getpid()));
  std::error_code error;
  fs::remove_all(temporary_, error);  // of a process that was killed and had the same number
  fs::create_directory(temporary_, error);
  check(!error, ErrorKind::io, "{}: cannot be made: {}", temporary_.string(), error.message());
}

NewFolder::~NewFolder() {
  std::error_code error;
  if (!temporary_.empty()) fs::remove_all(temporary_, error);
}

void NewFolder::finish() {
  std::error_code error;
  fs::rename(temporary_, target_, error);  // takes the place of an empty folder
  check(!error, ErrorKind::io, "{}: cannot be made: {}", target_.string(), error.message());
  temporary_.clear();
  parent_.accept();
  // The name is on disk, too, when this returns.
  if (const int fd = ::open(target_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
}

}  // namespace imgcap::cli
