// cuBLASLt for the emulated device: names, values and signatures are NVIDIA's, and so is what it refuses. Matrices
// are column-major; sizes and strides count elements.
#pragma once

#include <cuda_runtime.h>
#include <library_types.h>

#include <cstddef>
#include <cstdint>

#include "tensor/cuda/emulation/cublaslt_names.h"

#define CUBLAS_VER_MAJOR 13

#define IMGCAP_VALUE(name, number) name = number,
enum cublasStatus_t { IMGCAP_CUBLAS_STATUSES(IMGCAP_VALUE) };
enum cublasOperation_t { IMGCAP_CUBLAS_OPERATIONS(IMGCAP_VALUE) };
enum cublasComputeType_t { IMGCAP_CUBLAS_COMPUTE_TYPES(IMGCAP_VALUE) };
enum cublasLtPointerMode_t { IMGCAP_CUBLASLT_POINTER_MODES(IMGCAP_VALUE) };
enum cublasLtEpilogue_t { IMGCAP_CUBLASLT_EPILOGUES(IMGCAP_VALUE) };
enum cublasLtReductionScheme_t { IMGCAP_CUBLASLT_REDUCTION_SCHEMES(IMGCAP_VALUE) };
enum cublasLtMatmulDescAttributes_t { IMGCAP_CUBLASLT_DESC_ATTRIBUTES(IMGCAP_VALUE) };
enum cublasLtMatrixLayoutAttribute_t { IMGCAP_CUBLASLT_LAYOUT_ATTRIBUTES(IMGCAP_VALUE) };
enum cublasLtMatmulPreferenceAttributes_t { IMGCAP_CUBLASLT_PREFERENCE_ATTRIBUTES(IMGCAP_VALUE) };
#undef IMGCAP_VALUE

// What is inside is the library's own affair (cublaslt_descriptors.h).
using cublasLtHandle_t = struct cublasLtContext*;
struct cublasLtMatrixLayoutOpaque_t {
  uint64_t data[8];
};
struct cublasLtMatmulDescOpaque_t {
  uint64_t data[32];
};
struct cublasLtMatmulPreferenceOpaque_t {
  uint64_t data[8];
};
using cublasLtMatrixLayout_t = cublasLtMatrixLayoutOpaque_t*;
using cublasLtMatmulDesc_t = cublasLtMatmulDescOpaque_t*;
using cublasLtMatmulPreference_t = cublasLtMatmulPreferenceOpaque_t*;

struct cublasLtMatmulAlgo_t {
  uint64_t data[8];
};
struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
  size_t workspaceSize;  // bytes that the algorithm needs
  cublasStatus_t state;
  float wavesCount;
  int reserved[4];
};

#define IMGCAP_FUNCTION(result, name, parameters) result name parameters;
extern "C" {
IMGCAP_CUBLASLT_FUNCTIONS(IMGCAP_FUNCTION)
}
#undef IMGCAP_FUNCTION
