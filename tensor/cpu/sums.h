// The sums of the kernels. wide_sum, RunningSum and WideSum are right to a few units in the last place, however
// many numbers there are: f32 is added in f64, f64 in short pieces whose sums are added pairwise. lane_sum is as
// exact as its type. The order depends on the count alone.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

namespace tensor::cpu {

inline constexpr int kSumLanes = 16;       // independent sums, so that loops become vector code
inline constexpr int64_t kSumBlock = 512;  // numbers that the lanes take before they are added up

// Independent sums, so that a loop over them becomes vector code.
template <class T>
struct SumLanes {
  T lanes[kSumLanes] = {};

  // Adds term(begin), term(begin + 1), ... as long as there is one for each lane; where it stopped.
  template <class Term>
  int64_t add(int64_t begin, int64_t end, const Term& term) {
    for (; begin + kSumLanes <= end; begin += kSumLanes)
      for (int k = 0; k < kSumLanes; ++k) lanes[k] += static_cast<T>(term(begin + k));
    return begin;
  }
  T total() {
    for (int width = kSumLanes / 2; width > 0; width /= 2)
      for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    return lanes[0];
  }
};

// term(begin) + ... + term(end - 1), added in T: for short sums, and for products.
template <class T, class Term>
T lane_sum(int64_t begin, int64_t end, const Term& term) {
  SumLanes<T> sum;
  T rest = 0;
  for (int64_t i = sum.add(begin, end, term); i < end; ++i) rest += static_cast<T>(term(i));
  return sum.total() + rest;
}

// sum(begin, end) from pieces of at most `most` numbers, added pairwise.
template <class Sum>
auto pairwise(int64_t begin, int64_t end, int64_t most, const Sum& sum) -> decltype(sum(begin, end)) {
  if (end - begin <= most) return sum(begin, end);
  const int64_t middle = begin + ((end - begin) / 2 + kSumLanes - 1) / kSumLanes * kSumLanes;
  const auto first = pairwise(begin, middle, most, sum);
  return first + pairwise(middle, end, most, sum);
}

// The sum of the terms, each a float or a double, in f64.
template <class Term>
double wide_sum(int64_t begin, int64_t end, const Term& term) {
  // Floats leave a double digits to spare.
  if constexpr (std::is_same_v<decltype(term(begin)), float>) return lane_sum<double>(begin, end, term);
  return pairwise(begin, end, kSumBlock,
                  [&term](int64_t from, int64_t to) { return lane_sum<double>(from, to, term); });
}

// A sum of numbers that come one by one, and what rounding took away from it (Knuth's two-sum).
class RunningSum {
 public:
  RunningSum& operator+=(double x) {
    const double sum = sum_ + x, part = sum - sum_, error = (sum_ - (sum - part)) + (x - part);
    if (error == error) lost_ += error;  // NaN where the sum is not finite
    sum_ = sum;
    return *this;
  }
  void operator*=(double factor) { sum_ *= factor, lost_ *= factor; }
  explicit operator double() const { return sum_ + lost_; }

 private:
  double sum_ = 0, lost_ = 0;
};

// The sum of many Ts that come one by one: f32 has digits to spare in a double.
template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, float>, double, RunningSum>;

// An array of sums of many arrays of T: up to 32 are added in T, then their sum in f64.
template <class T>
class WideSum {
 public:
  explicit WideSum(int64_t n = 0) : few_(static_cast<size_t>(n)), all_(static_cast<size_t>(n)) {}

  // Where one more array is to be added.
  T* room() {
    if (held_ == kHeld) flush();
    ++held_;
    return few_.data();
  }
  // Adds the sums to `out`; they are zero then.
  template <class Out>
  void move_to(Out* out) {
    for (size_t i = 0; i < all_.size(); ++i) {
      out[i] = static_cast<Out>(static_cast<double>(out[i]) + (all_[i] + static_cast<double>(few_[i])));
      all_[i] = 0;
      few_[i] = 0;
    }
    held_ = 0;
  }

 private:
  static constexpr int kHeld = 32;

  void flush() {
    for (size_t i = 0; i < few_.size(); ++i) {
      all_[i] += static_cast<double>(few_[i]);
      few_[i] = 0;
    }
    held_ = 0;
  }

  std::vector<T> few_;
  std::vector<double> all_;
  int held_ = 0;
};

}  // namespace tensor::cpu
