// Orders that follow from a number, in which the emulated device lets streams, blocks and threads take turns.
#pragma once

#include <cstdint>
#include <numeric>

namespace tensor::cuda::emulation {

// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }

 private:
  uint64_t state_;
};

// 0 .. n - 1, each once, in an order that costs nothing to make.
class Order {
 public:
  Order(uint64_t n, Random& random) : n_(n), at_(random.below(n)), step_(1 + random.below(n)) {
    while (std::gcd(step_, n) != 1) ++step_;
  }
  uint64_t next() {
    at_ = (at_ + step_) % n_;
    return at_;
  }

 private:
  uint64_t n_, at_, step_;
};

// The one of all that the emulated device runs.
Random& random_order();

}  // namespace tensor::cuda::emulation
