// Philox-4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11): a counter-based
// generator, so element i of a stream is the same on the host, on a device and with any number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>

#include "tensor/tensor.h"

namespace tensor {

// The four 32-bit words of block `counter` of stream `seed`.
inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter, uint64_t subsequence = 0) {
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

// [0, 1) with 24 bits.
inline float uniform_float(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// Where a generator is: its stream and the next block of it.
struct GeneratorState {
  uint64_t seed = 0, offset = 0;
  bool operator==(const GeneratorState&) const = default;
};

// A stream with a position; both can be saved and restored, so a resumed run draws what it would have drawn.
// Threads may share one: no number is handed out twice. Which thread gets which is by chance, so a run that
// is to be repeated gives each thread its own.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0) : state_{seed, 0} {}
  Generator(const Generator& other) : state_(other.state()) {}
  Generator& operator=(const Generator& other);

  GeneratorState state() const;  // both at one moment
  uint64_t seed() const { return state().seed; }
  uint64_t offset() const { return state().offset; }
  void set_state(uint64_t seed, uint64_t offset);
  // Keeps blocks [offset, offset + blocks) of stream `seed` for the caller: how a kernel gets its numbers.
  GeneratorState take(uint64_t blocks);
  uint64_t reserve(uint64_t blocks) { return take(blocks).offset; }  // the offset alone

  uint32_t next_u32();
  double uniform();                // [0, 1) with 53 bits
  double normal();                 // mean 0, variance 1 (Box-Muller)
  uint64_t below(uint64_t bound);  // unbiased integer in [0, bound); bound > 0

  // Fisher-Yates; std::shuffle differs between standard libraries.
  template <class Vector>
  void shuffle(Vector& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::array<uint32_t, 4> next_block();

  mutable std::mutex mutex_;
  GeneratorState state_;
};

// The generator that modules and ops use when none is given.
Generator& default_generator();

void fill_uniform(Tensor& out, double low, double high, Generator& generator);    // f32 or f64, U[low, high)
void fill_normal(Tensor& out, double mean, double stddev, Generator& generator);  // f32 or f64

}  // namespace tensor
