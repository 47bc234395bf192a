// Sums are of floats, or doubles for doubles, in the order of k; each element of D is rounded once, unless the
// parts of a long sum may be added in D's type, where they are. D is filled with NaN before A and B are read: a D
// that overlaps them gives nonsense here, as it may on a device.
#include "tensor/cuda/emulation/cublaslt_product.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/cuda/emulation/library.h"
#include "tensor/half.h"

namespace tensor::cuda::emulation {
namespace {

// Calls f(address, bytes) for each piece of a matrix that is one in memory.
template <class F>
void for_each_column(const MatrixLayout& x, void* data, const F& f) {
  const int64_t size = size_of(x.type), rows = static_cast<int64_t>(x.rows);
  const int64_t batches = x.batch_stride == 0 ? 1 : x.batches;
  const auto at = [&](int64_t element) { return static_cast<std::byte*>(data) + element * size; };
  for (int64_t i = 0; i < batches; ++i) {
    if (x.leading == rows) {
      f(at(i * x.batch_stride), static_cast<size_t>(rows * static_cast<int64_t>(x.columns) * size));
      continue;
    }
    for (int64_t j = 0; j < static_cast<int64_t>(x.columns); ++j)
      f(at(i * x.batch_stride + j * x.leading), static_cast<size_t>(rows * size));
  }
}

void will_read_matrix(const MatrixLayout& x, const void* data) {
  for_each_column(x, const_cast<void*>(data), [](void* at, size_t bytes) { will_read(at, bytes); });
}

void will_read_bias(const Problem& p) {
  const int64_t size = size_of(p.d.type), batches = p.desc.bias_batch_stride == 0 ? 1 : p.d.batches;
  for (int64_t i = 0; i < batches; ++i)
    will_read(static_cast<const std::byte*>(p.desc.bias) + i * p.desc.bias_batch_stride * size,
              static_cast<size_t>(p.m() * size));
}

double device_scalar(const void* address, int32_t type) {
  will_read(address, static_cast<size_t>(size_of(static_cast<uint32_t>(type))));
  return type == CUDA_R_64F ? *static_cast<const double*>(address)
                            : static_cast<double>(*static_cast<const float*>(address));
}

// The matrix `i` of a batch in numbers to compute with, without gaps; `transposed` swaps rows and columns.
template <class T, class Sum>
std::vector<Sum> numbers(const MatrixLayout& x, const void* data, int64_t i, bool transposed) {
  const int64_t rows = static_cast<int64_t>(x.rows), columns = static_cast<int64_t>(x.columns);
  const T* from = static_cast<const T*>(data) + i * x.batch_stride;
  std::vector<Sum> to(static_cast<size_t>(rows * columns));
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t r = 0; r < rows; ++r)
      to[static_cast<size_t>(transposed ? r * columns + j : j * rows + r)] =
          static_cast<Sum>(from[j * x.leading + r]);
  return to;
}

template <class Sum>
Sum activated(Sum x, uint32_t epilogue) {
  if (epilogue & CUBLASLT_EPILOGUE_RELU) return x > 0 ? x : Sum{0};
  if ((epilogue & CUBLASLT_EPILOGUE_GELU) == 0) return x;
  constexpr double kRootOfTwoByPi = 0.7978845608028654;
  return static_cast<Sum>(Sum{.5} * x *
                          (1 + std::tanh(static_cast<Sum>(kRootOfTwoByPi) * (x + Sum(.044715) * x * x * x))));
}

// One column of op(A) op(B): sums[r] = sum over l of a(r, l) b(l), a column by column.
template <class Out, class Sum>
void sum_products(std::vector<Sum>& sums, const Sum* a, const Sum* b, int64_t k, uint32_t reduction) {
  const int64_t m = static_cast<int64_t>(sums.size());
  const int64_t parts = reduction == CUBLASLT_REDUCTION_SCHEME_NONE ? 1 : 4;
  std::vector<Sum> part(sums.size());
  std::fill(sums.begin(), sums.end(), Sum{0});
  for (int64_t i = 0; i < parts; ++i) {
    std::fill(part.begin(), part.end(), Sum{0});
    for (int64_t l = i * k / parts; l < (i + 1) * k / parts; ++l)
      for (int64_t r = 0; r < m; ++r) part[static_cast<size_t>(r)] += a[l * m + r] * b[l];
    for (size_t r = 0; r < sums.size(); ++r) {
      sums[r] += part[r];
      if (reduction == CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE)
        sums[r] = static_cast<Sum>(static_cast<Out>(sums[r]));
    }
  }
}

template <class In, class Out, class Sum>
void multiply_one(const Problem& p, uint32_t reduction, const Operands& o, int64_t i) {
  const int64_t m = p.m(), n = p.n(), k = p.k();
  const auto alpha = static_cast<Sum>(o.alpha_value), beta = static_cast<Sum>(o.beta_value);
  const std::vector<Sum> c = beta == 0 ? std::vector<Sum>{} : numbers<Out, Sum>(p.c, o.c, i, false);
  Out* d = static_cast<Out*>(o.d) + i * p.d.batch_stride;
  for (int64_t j = 0; j < n; ++j)
    std::memset(d + j * p.d.leading, 0xff, static_cast<size_t>(m) * sizeof(Out));
  const std::vector<Sum> a = numbers<In, Sum>(p.a, o.a, i, p.desc.transa != CUBLAS_OP_N);
  const std::vector<Sum> b = numbers<In, Sum>(p.b, o.b, i, p.desc.transb != CUBLAS_OP_N);
  const Out* bias =
      p.has_bias() ? static_cast<const Out*>(p.desc.bias) + i * p.desc.bias_batch_stride : nullptr;
  std::vector<Sum> sums(static_cast<size_t>(m));
  for (int64_t j = 0; j < n; ++j) {
    sum_products<Out>(sums, a.data(), b.data() + j * k, k, reduction);
    for (int64_t r = 0; r < m; ++r) {
      Sum value = alpha * sums[static_cast<size_t>(r)];
      if (beta != 0) value += beta * c[static_cast<size_t>(j * m + r)];
      if (bias != nullptr) value += static_cast<Sum>(bias[r]);
      d[j * p.d.leading + r] = static_cast<Out>(activated(value, p.desc.epilogue));
    }
  }
}

template <class In, class Out, class Sum = float>
void multiply(const Problem& p, uint32_t reduction, const Operands& o) {
  for (int64_t i = 0; i < p.d.batches; ++i) multiply_one<In, Out, Sum>(p, reduction, o, i);
}

}  // namespace

void run_product(const Problem& problem, const Algorithm& algorithm, const Operands& operands) {
  Operands o = operands;
  if (problem.desc.pointer_mode == CUBLASLT_POINTER_MODE_DEVICE) {
    o.alpha_value = device_scalar(o.alpha, problem.desc.scale);
    o.beta_value = device_scalar(o.beta, problem.desc.scale);
  }
  will_read_matrix(problem.a, o.a);
  will_read_matrix(problem.b, o.b);
  if (o.beta_value != 0) will_read_matrix(problem.c, o.c);
  if (problem.has_bias()) will_read_bias(problem);
  if (algorithm.workspace_bytes > 0) {
    will_write(o.workspace, algorithm.workspace_bytes);
    std::memset(o.workspace, 0xff, algorithm.workspace_bytes);
  }
  for_each_column(problem.d, o.d, [](void* at, size_t bytes) { will_write(at, bytes); });
  const bool narrow = problem.d.type != CUDA_R_32F;
  switch (problem.a.type) {
    case CUDA_R_64F:
      return multiply<double, double, double>(problem, algorithm.reduction, o);
    case CUDA_R_32F:
      return multiply<float, float>(problem, algorithm.reduction, o);
    case CUDA_R_16F:
      return narrow ? multiply<f16, f16>(problem, algorithm.reduction, o)
                    : multiply<f16, float>(problem, algorithm.reduction, o);
    default:
      return narrow ? multiply<bf16, bf16>(problem, algorithm.reduction, o)
                    : multiply<bf16, float>(problem, algorithm.reduction, o);
  }
}

}  // namespace tensor::cuda::emulation
