// The names, values, sizes and signatures of the emulated cuBLASLt against NVIDIA's headers: it compiles, or they
// differ.
#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensor/cuda/emulation/cublaslt_names.h"

#define SAME_VALUE(name, number) static_assert(static_cast<int>(name) == (number), #name);
IMGCAP_CUDA_TYPES(SAME_VALUE)
IMGCAP_CUBLAS_STATUSES(SAME_VALUE)
IMGCAP_CUBLAS_OPERATIONS(SAME_VALUE)
IMGCAP_CUBLAS_COMPUTE_TYPES(SAME_VALUE)
IMGCAP_CUBLASLT_POINTER_MODES(SAME_VALUE)
IMGCAP_CUBLASLT_EPILOGUES(SAME_VALUE)
IMGCAP_CUBLASLT_REDUCTION_SCHEMES(SAME_VALUE)
IMGCAP_CUBLASLT_DESC_ATTRIBUTES(SAME_VALUE)
IMGCAP_CUBLASLT_LAYOUT_ATTRIBUTES(SAME_VALUE)
IMGCAP_CUBLASLT_PREFERENCE_ATTRIBUTES(SAME_VALUE)

#define SAME_SIGNATURE(result, name, parameters) \
  static_assert(std::is_same_v<decltype(::name), result parameters>, #name);
IMGCAP_CUBLASLT_FUNCTIONS(SAME_SIGNATURE)

#define SAME_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type);
IMGCAP_CUBLASLT_SIZES(SAME_SIZE)
#define SAME_OFFSET(member, bytes) \
  static_assert(offsetof(cublasLtMatmulHeuristicResult_t, member) == (bytes), #member);
IMGCAP_CUBLASLT_RESULT_OFFSETS(SAME_OFFSET)
static_assert(CUBLAS_VER_MAJOR >= 12);
