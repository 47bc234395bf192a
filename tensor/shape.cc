#include "tensor/shape.h"

#include <algorithm>

#include "tensor/error.h"

namespace tensor {

Shape::Shape(std::span<const int64_t> values) {
  check(values.size() <= kMaxRank, ErrorKind::shape, "shape: {} dimensions; at most {} are supported",
        values.size(), kMaxRank);
  std::copy(values.begin(), values.end(), values_.begin());
  rank_ = static_cast<int>(values.size());
}

Shape Shape::filled(int rank, int64_t value) {
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(value);
  return shape;
}

int64_t Shape::at(int i) const { return values_[static_cast<size_t>(normalize_dim(i, rank_, "size"))]; }

void Shape::push_back(int64_t value) {
  check(rank_ < kMaxRank, ErrorKind::shape, "shape: more than {} dimensions", kMaxRank);
  values_[static_cast<size_t>(rank_++)] = value;
}

void Shape::insert(int position, int64_t value) {
  push_back(0);
  std::copy_backward(begin() + position, end() - 1, end());
  (*this)[position] = value;
}

void Shape::erase(int position) {
  std::copy(begin() + position + 1, end(), begin() + position);
  --rank_;
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

int64_t Shape::numel() const {
  int64_t product = 1;
  bool overflow = false;
  for (const int64_t size : *this) {
    if (size == 0) return 0;
    overflow = overflow || __builtin_mul_overflow(product, size, &product);
  }
  check(!overflow, ErrorKind::shape, "shape: the number of elements of {} does not fit 64 bits", *this);
  return product;
}

std::string Shape::text() const {
  std::string text = "(";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string((*this)[i]);
  }
  return text + ")";
}

Shape contiguous_strides(const Shape& sizes) {
  Shape strides = Shape::filled(sizes.rank(), 1);
  for (int i = sizes.rank() - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<int64_t>(sizes[i + 1], 1);
  return strides;
}

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Shape::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const int64_t x = i <= a.rank() ? a[a.rank() - i] : 1;
    const int64_t y = i <= b.rank() ? b[b.rank() - i] : 1;
    check(x == y || x == 1 || y == 1, ErrorKind::shape, "{}: shapes do not broadcast: {} and {}", op, a, b);
    out[rank - i] = x == 1 ? y : x;
  }
  return out;
}

int normalize_dim(int dim, int rank, const char* op) {
  check(dim >= -rank && dim < rank, ErrorKind::index,
        "{}: dimension {} is out of range for a tensor of rank {}", op, dim, rank);
  return dim < 0 ? dim + rank : dim;
}

}  // namespace tensor
