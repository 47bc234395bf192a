// What references compute with: plain arrays of doubles and loops over indices, nothing of the tensor library
// but its Shape.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tensor/shape.h"

namespace autograd::testing {

using tensor::Shape;
using Index = std::vector<int64_t>;

struct Array {
  Shape shape;
  std::vector<double> values;  // in row-major order

  Array() = default;
  explicit Array(const Shape& s, double fill = 0) : shape(s), values(static_cast<size_t>(s.numel()), fill) {}
  Array(const Shape& s, std::vector<double> v) : shape(s), values(std::move(v)) {}

  int64_t size(int d) const { return shape.at(d); }
  int64_t numel() const { return static_cast<int64_t>(values.size()); }
  int64_t place(const Index& index) const {
    int64_t at = 0;
    for (int d = 0; d < shape.rank(); ++d) at = at * shape[d] + index[static_cast<size_t>(d)];
    return at;
  }
  double& operator()(const Index& index) { return values[static_cast<size_t>(place(index))]; }
  double operator()(const Index& index) const { return values[static_cast<size_t>(place(index))]; }
};

// Calls f with each index of the shape, in row-major order.
inline void for_each_index(const Shape& shape, const std::function<void(const Index&)>& f) {
  const int64_t n = shape.numel();
  Index index(static_cast<size_t>(shape.rank()), 0);
  for (int64_t i = 0; i < n; ++i) {
    f(index);
    for (int d = shape.rank(); d-- > 0;) {
      if (++index[static_cast<size_t>(d)] < shape[d]) break;
      index[static_cast<size_t>(d)] = 0;
    }
  }
}

// Where `index` of a larger shape is in `shape`, which broadcasts to it.
inline Index broadcast_index(const Shape& shape, const Index& index) {
  Index own(index.end() - shape.rank(), index.end());
  for (int d = 0; d < shape.rank(); ++d)
    if (shape[d] == 1) own[static_cast<size_t>(d)] = 0;
  return own;
}

inline double broadcast_at(const Array& x, const Index& index) { return x(broadcast_index(x.shape, index)); }

// An array of `shape` whose element at each index is f(index).
inline Array make_array(const Shape& shape, const std::function<double(const Index&)>& f) {
  Array out(shape);
  size_t i = 0;
  for_each_index(shape, [&](const Index& index) { out.values[i++] = f(index); });
  return out;
}

}  // namespace autograd::testing
