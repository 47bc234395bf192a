#include "tensor/random.h"

#include <cmath>
#include <numbers>

#include "tensor/fork.h"

namespace tensor {
namespace {

// One block gives two numbers of 53 bits, so f32 and f64 tensors are filled with the same values.
template <class Make>
void fill_pairs(Tensor& out, Generator& generator, const char* op, Make make) {
  check(out.is_contiguous(), ErrorKind::argument, "{}: the tensor has to be contiguous", op);
  const int64_t n = out.numel();
  const GeneratorState from = generator.take(static_cast<uint64_t>((n + 1) / 2));
  dispatch_float(out.dtype(), op, [&]<class T>() {
    T* values = out.mutable_data<T>();
    for (int64_t i = 0; i < n; i += 2) {
      const auto words = philox(from.seed, from.offset + static_cast<uint64_t>(i / 2));
      const auto [a, b] = make(uniform_double(words[0], words[1]), uniform_double(words[2], words[3]));
      values[i] = static_cast<T>(a);
      if (i + 1 < n) values[i + 1] = static_cast<T>(b);
    }
  });
}

struct Pair {
  double a, b;
};

Pair box_muller(double u, double v) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - u)), angle = 2.0 * std::numbers::pi * v;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace

Generator& Generator::operator=(const Generator& other) {
  const auto [seed, offset] = other.state();  // before the lock: `other` may be this one
  set_state(seed, offset);
  return *this;
}

GeneratorState Generator::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Generator::set_state(uint64_t seed, uint64_t offset) {
  const std::lock_guard lock(mutex_);
  state_ = {seed, offset};
  origin_ = {};
}

GeneratorState Generator::take(uint64_t blocks) {
  const std::lock_guard lock(mutex_);
  const GeneratorState first = state_;
  state_.offset += blocks;
  return first;
}

Draw Generator::draw(uint64_t blocks) {
  const std::lock_guard lock(mutex_);
  const GeneratorState first = state_;
  state_.offset += blocks;
  return {first.seed, origin_.defined() ? first.offset - offset_of_origin_ : first.offset, origin_};
}

void Generator::set_origin(const Tensor& origin) {
  const std::lock_guard lock(mutex_);
  origin_ = origin;
  offset_of_origin_ = state_.offset;
}

uint64_t Generator::drawn() const {
  const std::lock_guard lock(mutex_);
  return origin_.defined() ? state_.offset - offset_of_origin_ : 0;
}

PhiloxBlock Generator::next_block() {
  const auto [seed, offset] = take(1);
  return philox(seed, offset);
}

double Generator::uniform() {
  const auto words = next_block();
  return uniform_double(words[0], words[1]);
}

double Generator::normal() {
  const auto words = next_block();
  return box_muller(uniform_double(words[0], words[1]), uniform_double(words[2], words[3])).a;
}

uint64_t Generator::below(uint64_t bound) {
  check(bound > 0, ErrorKind::argument, "random: a bound of 0");
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    const auto words = next_block();
    const uint64_t value = (uint64_t{words[0]} << 32) | words[1];
    if (value < limit) return value % bound;
  }
}

// Never destroyed: fork() waits for its lock.
Generator& default_generator() {
  static Generator* const generator = [] {
    auto* const made = new Generator(0);
    internal::hold_at_fork(made->mutex_);
    return made;
  }();
  return *generator;
}

// Before there are threads: a fork() while one of them makes it would leave the child waiting for that.
[[maybe_unused]] static const bool made_at_load = (default_generator(), true);

void fill_uniform(Tensor& out, double low, double high, Generator& generator) {
  fill_pairs(out, generator, "fill_uniform", [&](double u, double v) {
    return Pair{low + (high - low) * u, low + (high - low) * v};
  });
}

void fill_normal(Tensor& out, double mean, double stddev, Generator& generator) {
  fill_pairs(out, generator, "fill_normal", [&](double u, double v) {
    const auto [a, b] = box_muller(u, v);
    return Pair{mean + stddev * a, mean + stddev * b};
  });
}

}  // namespace tensor
