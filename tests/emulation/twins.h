// Tensors on the CPU and the same ones on a device, for comparing the kernels of both.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/tensor.h"
#include "tests/made.h"

namespace tests {

// Both lie alike in memory.
struct Twins {
  std::string layout;
  tensor::Tensor cpu, cuda;

  Twins(std::string name, const tensor::Tensor& base,
        const std::function<tensor::Tensor(const tensor::Tensor&)>& view)
      : layout(std::move(name)), cpu(view(base)), cuda(view(base.to(tensor::Device::cuda()))) {}
  explicit Twins(const tensor::Tensor& t)
      : Twins("contiguous", t, [](const tensor::Tensor& x) { return x; }) {}

  std::string text() const { return layout + " " + tensor::describe(cpu).text(); }
};

// Contiguous, off the 16-byte grid, transposed, columns of wider rows, sliced, and expanded along the first
// and along the last dimension.
inline std::vector<Twins> twins(const tensor::Shape& shape, tensor::DType dtype, uint32_t seed,
                                double low = -2, double high = 2) {
  using tensor::Shape, tensor::Tensor;
  const auto make = [&](const Shape& sizes) { return made(seed++, sizes, low, high).to(dtype); };
  const int rank = shape.rank();
  const int64_t n = shape.numel();
  std::vector<Twins> all{Twins(make(shape))};
  all.emplace_back("one element in", make({n + 1}),
                   [&](const Tensor& x) { return x.slice(0, 1, n + 1).view(shape); });
  if (rank == 0) return all;
  Shape reversed, wider = shape, larger, first = shape, last = shape;
  std::vector<int> order;
  for (int d = 0; d < rank; ++d) {
    reversed.push_back(shape[rank - 1 - d]);
    larger.push_back(2 * shape[d] + 3);
    order.push_back(rank - 1 - d);
  }
  wider[rank - 1] += 3;
  first[0] = last[rank - 1] = 1;
  all.emplace_back("transposed", make(reversed), [&](const Tensor& x) { return x.permute(order); });
  all.emplace_back("columns of wider rows", make(wider),
                   [&](const Tensor& x) { return x.slice(rank - 1, 0, shape[rank - 1]); });
  all.emplace_back("sliced", make(larger), [&](Tensor x) {
    for (int d = 0; d < rank; ++d) x = x.slice(d, 2, 2 + 2 * shape[d], 2);
    return x;
  });
  const auto expand = [&](const Tensor& x) { return x.expand(shape); };
  all.emplace_back("expanded along the first", make(first), expand);
  all.emplace_back("expanded along the last", make(last), expand);
  return all;
}

// The elements; subnormal numbers, which the CPU's kernels take for 0, are zeros of their sign. 16-bit ones
// that are normal in f32 are kept.
inline std::vector<double> numbers(const tensor::Tensor& t) {
  std::vector<double> all = t.to(tensor::Device::cpu()).to(tensor::DType::f64).to_vector<double>();
  const double least = t.dtype() == tensor::DType::f64 ? 0x1p-1022 : 0x1p-126;
  for (double& x : all)
    if (std::abs(x) < least) x = std::copysign(0.0, x);
  return all;
}

// |a - b| / max(|b|, floor), the worst of all elements; infinity where just one is NaN, or one is infinite.
inline double worst_error(const tensor::Tensor& a, const tensor::Tensor& b, double floor = 0) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return INFINITY;
  const std::vector<double> x = numbers(a), y = numbers(b);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    const double error = std::abs(x[i] - y[i]) / std::max(std::abs(y[i]), floor);
    worst = std::isfinite(error) ? std::max(worst, error) : INFINITY;
  }
  return worst;
}

// The same values and signs of zero; one NaN is like another.
inline bool same_values(const tensor::Tensor& a, const tensor::Tensor& b) {
  if (worst_error(a, b) != 0) return false;
  const std::vector<double> x = numbers(a), y = numbers(b);
  for (size_t i = 0; i < x.size(); ++i)
    if (!std::isnan(x[i]) && std::signbit(x[i]) != std::signbit(y[i])) return false;
  return true;
}

// Sizes around those of warps, blocks and packs.
inline constexpr int64_t kEdges[] = {1,   31,  32,   33,   127,  128,  129,  255,
                                     256, 257, 1023, 1024, 1025, 2047, 2048, 2049};

}  // namespace tests
