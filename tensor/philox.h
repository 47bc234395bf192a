// Philox-4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11): a counter-based
// generator, so element i of a stream is the same on the host, on a device and with any number of threads.
#pragma once

#include <cstdint>

#include "tensor/host_device.h"

namespace tensor {

struct PhiloxBlock {
  uint32_t words[4];
  IMGCAP_HOST_DEVICE constexpr uint32_t operator[](uint64_t i) const { return words[i]; }
  bool operator==(const PhiloxBlock&) const = default;
};

// The four words of block `counter` of stream `seed`.
IMGCAP_HOST_DEVICE inline PhiloxBlock philox(uint64_t seed, uint64_t counter, uint64_t subsequence = 0) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = static_cast<uint32_t>(subsequence), c3 = static_cast<uint32_t>(subsequence >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0,
                   n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

// A stream and a block of it.
struct PhiloxPlace {
  uint64_t seed, offset;
};

// That of a mask (DropoutMask), whose origin may be null.
IMGCAP_HOST_DEVICE inline PhiloxPlace place_of(const int64_t* origin, const PhiloxPlace& place) {
  if (origin == nullptr) return place;
  return {static_cast<uint64_t>(origin[0]), static_cast<uint64_t>(origin[1]) + place.offset};
}

// [0, 1) with 53 bits, of two words.
IMGCAP_HOST_DEVICE inline double uniform_double(uint32_t high, uint32_t low) {
  return static_cast<double>(((uint64_t{high} << 32) | low) >> 11) * 0x1p-53;
}

// [0, 1) with 24 bits.
IMGCAP_HOST_DEVICE inline float uniform_float(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

}  // namespace tensor
