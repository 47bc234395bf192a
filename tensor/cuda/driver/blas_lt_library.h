// The functions of cuBLASLt, which is 540 MB and not on every machine: found when the first product is computed,
// not when the program starts.
#pragma once

#include <cublasLt.h>

#include <string>
#include <vector>

namespace tensor::cuda {

// Pointers to them, by their own names: blas.cublasLtMatmul(...).
struct BlasLt {
#define IMGCAP_BLAS_LT_FUNCTIONS(function)        \
  function(cublasLtCreate);                       \
  function(cublasLtGetStatusName);                \
  function(cublasLtGetVersion);                   \
  function(cublasLtMatrixLayoutCreate);           \
  function(cublasLtMatrixLayoutDestroy);          \
  function(cublasLtMatrixLayoutSetAttribute);     \
  function(cublasLtMatmulDescCreate);             \
  function(cublasLtMatmulDescDestroy);            \
  function(cublasLtMatmulDescSetAttribute);       \
  function(cublasLtMatmulPreferenceCreate);       \
  function(cublasLtMatmulPreferenceDestroy);      \
  function(cublasLtMatmulPreferenceSetAttribute); \
  function(cublasLtMatmulAlgoGetHeuristic);       \
  function(cublasLtMatmul)
#define IMGCAP_POINTER(name) decltype(&::name) name = nullptr
  IMGCAP_BLAS_LT_FUNCTIONS(IMGCAP_POINTER);
#undef IMGCAP_POINTER
};

// Those that are linked into the program (the emulated device's); where there are none, those of libcublasLt.so.13
// (or what the toolkit's version is) in the first of library_folders() that has it. Errors: cuda (not found, with
// where it was looked for; another version).
const BlasLt& blas_lt(const char* op);

// Stands for where the system's linker looks (LD_LIBRARY_PATH, ldconfig).
inline constexpr const char* kLinkersSearch = "the linker's folders";

// The folders of IMGCAP_CUDA_LIBRARIES (with : between them), kLinkersSearch, lib64 of CUDA_PATH and CUDA_HOME,
// the toolkit's usual places, and nvidia/cu13/lib among the Python packages of VIRTUAL_ENV and CONDA_PREFIX.
// `value_of` gives an environment variable's value, or null.
std::vector<std::string> library_folders(const char* (*value_of)(const char* name));

// Never unloaded. Errors: as blas_lt.
BlasLt load_blas_lt(const std::vector<std::string>& folders, const char* op);

}  // namespace tensor::cuda
