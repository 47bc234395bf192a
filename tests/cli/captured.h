// What a function of the program writes to stdout and stderr.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "tests/cli/program.h"

namespace tests {

class Captured {
 public:
  Captured() {
    std::fflush(stdout);
    std::fflush(stderr);
    for (int k = 0; k < 2; ++k) {
      before_[k] = ::dup(k + 1);
      const int file = ::open(file_of(k).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(file, k + 1);
      ::close(file);
    }
  }
  ~Captured() {
    std::fflush(stdout);
    std::fflush(stderr);
    for (int k = 0; k < 2; ++k) {
      ::dup2(before_[k], k + 1);
      ::close(before_[k]);
    }
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  // So far.
  std::string out() const { return text(0); }
  std::string err() const { return text(1); }

 private:
  std::string file_of(int k) const { return folder_ / (k == 0 ? "out" : "err"); }
  std::string text(int k) const {
    std::fflush(k == 0 ? stdout : stderr);
    return read_text(file_of(k));
  }

  Folder folder_;
  int before_[2] = {};
};

// What stands on both while f runs.
struct Said {
  std::string out, err;
};

template <class F>
Said said_by(F&& f) {
  const Captured captured;
  f();
  return {captured.out(), captured.err()};
}

}  // namespace tests
