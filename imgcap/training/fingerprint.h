// A number that tells weights and data sets apart.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "tensor/format.h"

namespace imgcap {

// FNV-1a over 64-bit words: against mistakes, not against forgery.
class Fingerprint {
 public:
  void add(const void* data, size_t bytes) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (; bytes >= 8; bytes -= 8, p += 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      mix(word);
    }
    for (; bytes > 0; --bytes) mix(*p++);
  }
  uint64_t number() const { return state_; }
  std::string text() const { return tensor::format("{:016x}", state_); }

 private:
  void mix(uint64_t word) { state_ = (state_ ^ word) * 0x100000001b3u, state_ ^= state_ >> 29; }
  uint64_t state_ = 0xcbf29ce484222325u;
};

}  // namespace imgcap
