// What the fuzzers share: the input as a file, and which errors a reader may answer with.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "tensor/error.h"
#include "tensor/tensor.h"

namespace fuzz {

// A file in memory with the given bytes, for readers that take a path or a descriptor.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const uint8_t> bytes) : descriptor_(::memfd_create("input", MFD_CLOEXEC)) {
    require(descriptor_ >= 0);
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t wrote = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
      require(wrote > 0);
      done += static_cast<size_t>(wrote);
    }
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  // The fuzzer's assertion: its failure is reported with the input.
  static void require(bool ok) {
    if (!ok) std::abort();
  }

 private:
  int descriptor_;
};

inline void require(bool ok) { MemoryFile::require(ok); }

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Runs `read`. Errors of these kinds are right answers, in one line of text that a terminal can show; any other
// exception ends the fuzzer.
template <class F>
void expect_errors(std::initializer_list<tensor::ErrorKind> kinds, F&& read) {
  try {
    read();
  } catch (const tensor::Error& error) {
    if (std::find(kinds.begin(), kinds.end(), error.kind()) == kinds.end()) throw;
    for (const char* c = error.what(); *c != '\0'; ++c) require(static_cast<unsigned char>(*c) >= ' ');
  }
}

// A file that is none is told so by an error of kind data.
template <class F>
void expect_data_errors(F&& read) {
  expect_errors({tensor::ErrorKind::data}, read);
}

// What a client may have wrong: besides, a value out of its bounds.
template <class F>
void expect_request_errors(F&& read) {
  expect_errors({tensor::ErrorKind::data, tensor::ErrorKind::argument}, read);
}

// Reads every byte of a tensor, so that the sanitizer sees one that reaches outside of its file.
inline void touch(const tensor::Tensor& tensor) {
  const tensor::Tensor copy = tensor.clone();
  require(copy.shape() == tensor.shape() && copy.numel() >= 0);
}

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
