// Sizes and strides of a tensor.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace tensor {

inline constexpr int kMaxRank = 8;

// Up to eight int64 values, kept inside the object: sizes (in elements) or strides (in elements).
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> values) : Shape(std::span(values.begin(), values.size())) {}
  explicit Shape(std::span<const int64_t> values);
  // `rank` times `value`.
  static Shape filled(int rank, int64_t value);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  // `i` counts from the end when it is negative; Errors: index (out of range).
  int64_t at(int i) const;
  int64_t& operator[](int i) { return values_[static_cast<size_t>(i)]; }
  int64_t operator[](int i) const { return values_[static_cast<size_t>(i)]; }
  const int64_t* begin() const { return values_.data(); }
  const int64_t* end() const { return values_.data() + rank_; }
  int64_t* begin() { return values_.data(); }
  int64_t* end() { return values_.data() + rank_; }
  int64_t back() const { return values_[static_cast<size_t>(rank_ - 1)]; }
  void push_back(int64_t value);
  void insert(int position, int64_t value);
  void erase(int position);
  bool operator==(const Shape& other) const;

  // The product of the sizes; 1 for rank 0. Errors: shape (it does not fit int64).
  int64_t numel() const;
  std::string text() const;  // "(2, 3)"; "()" for a scalar

 private:
  std::array<int64_t, kMaxRank> values_{};
  int rank_ = 0;
};

inline std::string to_string(const Shape& shape) { return shape.text(); }

// Strides of a contiguous, row-major tensor.
Shape contiguous_strides(const Shape& sizes);

// NumPy's broadcasting rule. Errors: shape (begins with `op`, has both shapes).
Shape broadcast(const Shape& a, const Shape& b, const char* op);

// A dimension number in [0, rank) from one in [-rank, rank). Errors: index (begins with `op`).
int normalize_dim(int dim, int rank, const char* op);

}  // namespace tensor
