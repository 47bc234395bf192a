// Sums that are right to a few units in the last place, however many numbers there are: in f64, in lanes of
// at most some dozen numbers, whose results are added pairwise. The order depends on the count alone.
#pragma once

#include <cstdint>
#include <vector>

namespace tensor::cpu {

inline constexpr int kSumLanes = 16;       // independent sums, so that loops become vector code
inline constexpr int64_t kSumBlock = 512;  // numbers that the lanes take before they are added up

// term(begin) + ... + term(end - 1), each term a float or a double.
template <class Term>
double wide_sum(int64_t begin, int64_t end, Term& term) {
  if (end - begin > kSumBlock) {
    const int64_t half = ((end - begin) / 2 + kSumLanes - 1) / kSumLanes * kSumLanes;
    const double first = wide_sum(begin, begin + half, term);
    return first + wide_sum(begin + half, end, term);
  }
  double lanes[kSumLanes] = {};
  int64_t i = begin;
  for (; i + kSumLanes <= end; i += kSumLanes)
    for (int k = 0; k < kSumLanes; ++k) lanes[k] += static_cast<double>(term(i + k));
  for (int k = 0; i + k < end; ++k) lanes[k] += static_cast<double>(term(i + k));
  for (int width = kSumLanes / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
  return lanes[0];
}

// a + b, and what rounding took away from it (Knuth): 0 where the sum is not finite.
struct TwoSum {
  double sum, lost;

  TwoSum(double a, double b) : sum(a + b) {
    const double part = sum - a, error = (a - (sum - part)) + (b - part);
    lost = error == error ? error : 0;
  }
};

// A sum of numbers that come one by one.
class RunningSum {
 public:
  RunningSum& operator+=(double x) {
    const TwoSum next(sum_, x);
    sum_ = next.sum;
    lost_ += next.lost;
    return *this;
  }
  void operator*=(double factor) { sum_ *= factor, lost_ *= factor; }
  explicit operator double() const { return sum_ + lost_; }

 private:
  double sum_ = 0, lost_ = 0;
};

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
