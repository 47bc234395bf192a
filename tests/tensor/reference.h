// What kernel tests share: tensors in awkward layouts, and plain loops in double to compare with.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tensor/tensor.h"
#include "tensor/thread_pool.h"

namespace tests {

using tensor::DType;
using tensor::ErrorKind;
using tensor::Shape;
using tensor::Tensor;

// The elements in row-major order, read one by one (not by the copy kernel, which is under test too).
inline std::vector<double> values(const Tensor& t) {
  std::vector<double> v;
  for (int64_t i = 0; i < t.numel(); ++i) {
    int64_t rest = i, offset = 0;
    for (int d = t.rank() - 1; d >= 0; --d) {
      offset += rest % t.size(d) * t.strides()[d];
      rest /= t.size(d);
    }
    switch (t.dtype()) {
      case DType::f32:
        v.push_back(static_cast<double>(t.data<float>()[offset]));
        break;
      case DType::f64:
        v.push_back(t.data<double>()[offset]);
        break;
      case DType::i64:
        v.push_back(static_cast<double>(t.data<int64_t>()[offset]));
        break;
      default:
        v.push_back(t.data<bool>()[offset] ? 1.0 : 0.0);
    }
  }
  return v;
}

inline Tensor random(const Shape& shape, DType dtype, uint64_t seed, double low = -2, double high = 2) {
  Tensor t = Tensor::empty(shape, dtype);
  tensor::Generator generator(seed);
  fill_uniform(t, low, high, generator);
  return t;
}

struct Layout {
  std::string name;
  Tensor x;
};

// Tensors of `shape` that lie differently in memory.
inline std::vector<Layout> layouts(const Shape& shape, DType dtype, uint64_t seed, double low = -2,
                                   double high = 2) {
  std::vector<Layout> all{{"contiguous", random(shape, dtype, seed, low, high)}};
  const int rank = shape.rank();
  if (rank == 0) return all;
  Shape reversed, larger, single = shape;
  std::vector<int> order;
  for (int d = 0; d < rank; ++d) {
    reversed.push_back(shape[rank - 1 - d]);
    larger.push_back(2 * shape[d] + 3);
    order.push_back(rank - 1 - d);
  }
  all.push_back({"transposed", random(reversed, dtype, seed + 1, low, high).permute(order)});
  Tensor sliced = random(larger, dtype, seed + 2, low, high);
  for (int d = 0; d < rank; ++d) sliced = sliced.slice(d, 2, 2 + 2 * shape[d], 2);
  all.push_back({"sliced", sliced});
  single[0] = 1;
  all.push_back({"expanded", random(single, dtype, seed + 3, low, high).expand(shape)});
  return all;
}

// The worst |a - b| / max(|b|, floor) over all elements; infinity when one is NaN and the other is not.
inline double worst_relative(const std::vector<double>& a, const std::vector<double>& b, double floor = 0) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double error = std::abs(a[i] - b[i]) / std::max(std::abs(b[i]), floor);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.shape() == y.shape() && x.dtype() == y.dtype() &&
         (x.numel() == 0 || std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.bytes())) == 0);
}

// Runs `make` with 1, 2 and 4 threads and checks that the bits are the same.
inline void check_threads(const std::function<Tensor()>& make) {
  const int before = tensor::num_threads();
  tensor::set_num_threads(1);
  const Tensor one = make();
  for (const int threads : {2, 4}) {
    tensor::set_num_threads(threads);
    CHECK_MESSAGE(same_bits(make(), one), "with ", threads, " threads");
  }
  tensor::set_num_threads(before);
}

// Checks that `f` throws a tensor::Error of `kind` whose text holds all of `parts`.
inline void check_error(ErrorKind kind, const std::vector<std::string>& parts,
                        const std::function<void()>& f) {
  try {
    f();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    for (const std::string& part : parts)
      CHECK_MESSAGE(std::string(error.what()).find(part) != std::string::npos, std::string(error.what()),
                    ": does not say '", part, "'");
    return;
  }
  FAIL_CHECK("nothing was thrown");
}

}  // namespace tests
