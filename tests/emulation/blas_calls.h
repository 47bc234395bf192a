// Products by cuBLASLt's own calls, without our wrapper: column-major, as its documentation has them.
#pragma once

#include <cublasLt.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tensor/half.h"

namespace tests {

// Numbers as bytes of a type, and back.
template <class T>
std::vector<std::byte> bytes_of(const std::vector<double>& numbers) {
  std::vector<std::byte> bytes(numbers.size() * sizeof(T));
  for (size_t i = 0; i < numbers.size(); ++i) {
    const T x(static_cast<T>(numbers[i]));
    std::copy_n(reinterpret_cast<const std::byte*>(&x), sizeof x,
                bytes.begin() + static_cast<int64_t>(i * sizeof x));
  }
  return bytes;
}
inline std::vector<std::byte> encode(const std::vector<double>& numbers, cudaDataType_t type) {
  return type == CUDA_R_64F   ? bytes_of<double>(numbers)
         : type == CUDA_R_32F ? bytes_of<float>(numbers)
         : type == CUDA_R_16F ? bytes_of<tensor::f16>(numbers)
                              : bytes_of<tensor::bf16>(numbers);
}
template <class T>
std::vector<double> numbers_of(const std::vector<std::byte>& bytes) {
  std::vector<double> numbers;
  for (size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    T x;
    std::copy_n(bytes.begin() + static_cast<int64_t>(at), sizeof x, reinterpret_cast<std::byte*>(&x));
    numbers.push_back(static_cast<double>(x));
  }
  return numbers;
}
inline std::vector<double> decode(const std::vector<std::byte>& bytes, cudaDataType_t type) {
  return type == CUDA_R_64F   ? numbers_of<double>(bytes)
         : type == CUDA_R_32F ? numbers_of<float>(bytes)
         : type == CUDA_R_16F ? numbers_of<tensor::f16>(bytes)
                              : numbers_of<tensor::bf16>(bytes);
}

inline int64_t bytes_per(cudaDataType_t type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

// A matrix, or a batch of them, in a block of the device's memory of its own. Between columns nothing is ever
// written.
struct DeviceMatrix {
  cudaDataType_t type;
  int64_t rows, columns, leading, batches = 1, stride = 0;
  void* data = nullptr;
  cublasLtMatrixLayout_t layout = nullptr;

  DeviceMatrix(cudaDataType_t type_, int64_t rows_, int64_t columns_, int64_t gap, int64_t batches_ = 1)
      : type(type_), rows(rows_), columns(columns_), leading(rows_ + gap), batches(batches_) {
    stride = batches > 1 ? leading * columns : 0;
    REQUIRE(cudaMalloc(&data, static_cast<size_t>(leading * columns * batches * bytes_per(type))) ==
            cudaSuccess);
    REQUIRE(cublasLtMatrixLayoutCreate(&layout, type, static_cast<uint64_t>(rows),
                                       static_cast<uint64_t>(columns), leading) == CUBLAS_STATUS_SUCCESS);
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batches));
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  }
  DeviceMatrix(const DeviceMatrix&) = delete;
  DeviceMatrix& operator=(const DeviceMatrix&) = delete;
  ~DeviceMatrix() {
    static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
    static_cast<void>(cudaFree(data));
  }

  template <class T>
  void set(cublasLtMatrixLayoutAttribute_t attribute, T value) {
    REQUIRE(cublasLtMatrixLayoutSetAttribute(layout, attribute, &value, sizeof value) ==
            CUBLAS_STATUS_SUCCESS);
  }
  // `numbers`: column by column, without gaps.
  void write(const std::vector<double>& numbers, cudaStream_t stream) {
    const std::vector<std::byte> bytes = encode(numbers, type);
    copy(const_cast<std::byte*>(bytes.data()), stream, cudaMemcpyHostToDevice);
  }
  std::vector<double> read(cudaStream_t stream) {
    std::vector<std::byte> bytes(static_cast<size_t>(rows * columns * batches * bytes_per(type)));
    copy(bytes.data(), stream, cudaMemcpyDeviceToHost);
    return decode(bytes, type);
  }

 private:
  void copy(std::byte* host, cudaStream_t stream, cudaMemcpyKind kind) {
    const int64_t size = bytes_per(type);
    for (int64_t j = 0; j < columns * batches; ++j) {
      std::byte* there = static_cast<std::byte*>(data) + j * leading * size;
      std::byte* here = host + j * rows * size;
      const bool up = kind == cudaMemcpyHostToDevice;
      REQUIRE(cudaMemcpyAsync(up ? there : here, up ? here : there, static_cast<size_t>(rows * size), kind,
                              stream) == cudaSuccess);
    }
    REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  }
};

// Numbers in [-1, 1] that 16 bits hold exactly.
inline std::vector<double> some_numbers(int64_t count, int64_t seed) {
  std::vector<double> numbers;
  for (int64_t i = 0; i < count; ++i)
    numbers.push_back(static_cast<double>((i * 37 + seed * 11) % 65 - 32) / 32);
  return numbers;
}

struct Sizes {
  int64_t m = 5, n = 3, k = 4, gap = 2, batches = 1;
};

// D = alpha op(A) op(B) + beta C, D (m, n), with C in D's place. Members may be changed between construction and
// calls.
struct BlasCall {
  Sizes sizes;
  bool transa, transb;
  cudaStream_t stream = nullptr;
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  DeviceMatrix a, b, d;
  DeviceMatrix workspace{CUDA_R_32F, 4096, 1, 0};
  cublasLtMatmulHeuristicResult_t result{};
  uint64_t workspace_bytes = 4096 * sizeof(float);
  int found = -1;
  const std::byte *a_at, *b_at;
  std::byte* d_at;
  std::vector<double> a_numbers, b_numbers, d_numbers;

  BlasCall(const Sizes& s, bool transa_, bool transb_, cudaDataType_t in = CUDA_R_32F,
           cudaDataType_t out = CUDA_R_32F)
      : sizes(s),
        transa(transa_),
        transb(transb_),
        a(in, transa ? s.k : s.m, transa ? s.m : s.k, s.gap, s.batches),
        b(in, transb ? s.n : s.k, transb ? s.k : s.n, s.gap, s.batches),
        d(out, s.m, s.n, s.gap, s.batches) {
    const bool wide = in == CUDA_R_64F;
    REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatmulDescCreate(&desc, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                     wide ? CUDA_R_64F : CUDA_R_32F) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS);
    set(CUBLASLT_MATMUL_DESC_TRANSA, static_cast<int32_t>(transa ? CUBLAS_OP_T : CUBLAS_OP_N));
    set(CUBLASLT_MATMUL_DESC_TRANSB, static_cast<int32_t>(transb ? CUBLAS_OP_T : CUBLAS_OP_N));
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    a_at = static_cast<const std::byte*>(a.data), b_at = static_cast<const std::byte*>(b.data);
    d_at = static_cast<std::byte*>(d.data);
    a.write(a_numbers = some_numbers(s.m * s.k * s.batches, 1), stream);
    b.write(b_numbers = some_numbers(s.k * s.n * s.batches, 2), stream);
    d.write(d_numbers = some_numbers(s.m * s.n * s.batches, 3), stream);
  }
  ~BlasCall() {
    static_cast<void>(cublasLtMatmulPreferenceDestroy(preference));
    static_cast<void>(cublasLtMatmulDescDestroy(desc));
    static_cast<void>(cublasLtDestroy(handle));
    static_cast<void>(cudaStreamDestroy(stream));
  }
  BlasCall(const BlasCall&) = delete;
  BlasCall& operator=(const BlasCall&) = delete;

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    REQUIRE(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value) == CUBLAS_STATUS_SUCCESS);
  }
  template <class T>
  void prefer(cublasLtMatmulPreferenceAttributes_t attribute, T value) {
    REQUIRE(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value) ==
            CUBLAS_STATUS_SUCCESS);
  }

  cublasStatus_t find() {
    return cublasLtMatmulAlgoGetHeuristic(handle, desc, a.layout, b.layout, d.layout, d.layout, preference, 1,
                                          &result, &found);
  }
  cublasStatus_t run(const void* alpha, const void* beta) {
    return cublasLtMatmul(handle, desc, alpha, a_at, a.layout, b_at, b.layout, beta, d_at, d.layout, d_at,
                          d.layout, &result.algo, workspace.data, workspace_bytes, stream);
  }
  cublasStatus_t run(double alpha, double beta) {
    const float alpha32 = static_cast<float>(alpha), beta32 = static_cast<float>(beta);
    return a.type == CUDA_R_64F ? run(&alpha, &beta) : run(&alpha32, &beta32);
  }
  // Both, one after the other.
  cublasStatus_t call(double alpha = 1, double beta = 0) {
    const cublasStatus_t status = find();
    return status != CUBLAS_STATUS_SUCCESS ? status : run(alpha, beta);
  }

  // What D should be, by plain loops.
  std::vector<double> expected(double alpha, double beta) const {
    const auto& [m, n, k, gap, batches] = sizes;
    std::vector<double> all;
    const auto at = [](const std::vector<double>& x, int64_t i) { return x[static_cast<size_t>(i)]; };
    for (int64_t i = 0; i < batches; ++i)
      for (int64_t j = 0; j < n; ++j)
        for (int64_t r = 0; r < m; ++r) {
          double sum = 0;
          for (int64_t l = 0; l < k; ++l)
            sum += at(a_numbers, i * m * k + (transa ? r * k + l : l * m + r)) *
                   at(b_numbers, i * k * n + (transb ? l * n + j : j * k + l));
          all.push_back(alpha * sum + beta * at(d_numbers, (i * n + j) * m + r));
        }
    return all;
  }
};

inline double furthest(const std::vector<double>& x, const std::vector<double>& y) {
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::isnan(x[i]) ? INFINITY : std::abs(x[i] - y[i]));
  return worst;
}

}  // namespace tests
