// Random numbers: streams of Philox blocks (philox.h) with a position.
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>

#include "tensor/philox.h"
#include "tensor/tensor.h"

namespace tensor {

// Where a generator is: its stream and the next block of it.
struct GeneratorState {
  uint64_t seed = 0, offset = 0;
  bool operator==(const GeneratorState&) const = default;
};

// Blocks that a kernel draws from (DropoutMask).
struct Draw {
  uint64_t seed, offset;
  Tensor origin;
};

// A stream with a position; both can be saved and restored, so a resumed run draws what it would have drawn.
// Threads may share one: no number is handed out twice (but a search that draws words on a device wants one for itself). Which thread gets which is by chance, so a run that
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
  // The same for a kernel that may be on a device: from the origin on, where there is one.
  Draw draw(uint64_t blocks);

  // Seed and offset of this moment are on a device, too, in `origin` (2) i64, from which draw() counts from now on; an
  // undefined one ends that, as does a new state. Copies have none.
  void set_origin(const Tensor& origin);
  // The blocks that were taken since set_origin().
  uint64_t drawn() const;

  double uniform();                // [0, 1) with 53 bits
  double normal();                 // mean 0, variance 1 (Box-Muller)
  uint64_t below(uint64_t bound);  // unbiased integer in [0, bound); bound > 0

  // Fisher-Yates; std::shuffle differs between standard libraries.
  template <class Vector>
  void shuffle(Vector& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  PhiloxBlock next_block();

  friend Generator& default_generator();

  mutable std::mutex mutex_;
  GeneratorState state_;
  Tensor origin_;
  uint64_t offset_of_origin_ = 0;
};

// The generator that modules and ops use when none is given.
Generator& default_generator();

void fill_uniform(Tensor& out, double low, double high, Generator& generator);    // f32 or f64, U[low, high)
void fill_normal(Tensor& out, double mean, double stddev, Generator& generator);  // f32 or f64

}  // namespace tensor
