// A product as descriptors state it: D = activation(alpha op(A) op(B) + beta C + bias), (m, n) column-major. What
// of it the library refuses, and the algorithm that its heuristic finds for the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tensor/cuda/emulation/cublaslt_descriptors.h"

namespace tensor::cuda::emulation {

struct Problem {
  MatmulDesc desc;
  MatrixLayout a, b, c, d;

  int64_t m() const { return static_cast<int64_t>(d.rows); }
  int64_t n() const { return static_cast<int64_t>(d.columns); }
  int64_t k() const { return static_cast<int64_t>(desc.transa == CUBLAS_OP_N ? a.columns : a.rows); }
  bool has_bias() const { return (desc.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0; }
};

// Null where one of the descriptors is.
std::optional<Problem> problem_of(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                  cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                  cublasLtMatrixLayout_t d);

struct Refusal {
  cublasStatus_t status;
  std::string why;
};
using MaybeRefused = std::optional<Refusal>;

// What is refused whatever the addresses.
MaybeRefused refusal(const Problem& problem);

int64_t size_of(uint32_t type);  // bytes per element; 0 for types that the emulation does not have

// Of addresses, in bytes: powers of two.
struct Alignments {
  uint32_t a = 0, b = 0, c = 0, d = 0, bias = 0;
};

// What is inside cublasLtMatmulAlgo_t: good for one problem at addresses that are aligned as its finder was told.
struct Algorithm {
  uint64_t fingerprint = 0;  // of the problem
  uint64_t workspace_bytes = 0;
  // How the parts of a sum that is cut along k are added: the least exact way that the preference allows.
  uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
  Alignments aligned;
};

struct Found {
  std::optional<Algorithm> algorithm;
  std::string why_none;
};
Found find_algorithm(const Problem& problem, const MatmulPreference& preference);

uint64_t fingerprint(const Problem& problem);

// What of an address counts: at most 256.
uint32_t alignment_of(const void* address);

}  // namespace tensor::cuda::emulation
