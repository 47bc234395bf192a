// Random numbers: streams of Philox blocks (philox.h) with a position.
#pragma once

#include <cstdint>
#include <utility>

#include "tensor/philox.h"
#include "tensor/tensor.h"

namespace tensor {

// A stream with a position; both can be saved and restored, so a resumed run draws what it would have drawn.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0) : seed_(seed) {}

  uint64_t seed() const { return seed_; }
  uint64_t offset() const { return offset_; }
  void set_state(uint64_t seed, uint64_t offset) { seed_ = seed, offset_ = offset; }
  // Keeps blocks [offset, offset + blocks) for the caller and returns offset: how a kernel gets its numbers.
  uint64_t reserve(uint64_t blocks);

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
  uint64_t seed_, offset_ = 0;
};

// The generator that modules and ops use when none is given.
Generator& default_generator();

void fill_uniform(Tensor& out, double low, double high, Generator& generator);    // f32 or f64, U[low, high)
void fill_normal(Tensor& out, double mean, double stddev, Generator& generator);  // f32 or f64

}  // namespace tensor
