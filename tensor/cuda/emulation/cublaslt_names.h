// The part of cuBLASLt that the emulated device has: names, values and signatures, once. include/cublasLt.h is
// made of these lists; tests/tensor/cublaslt_as_nvidia.cu holds them against NVIDIA's headers. What is not here
// does not compile for the emulated device.
#pragma once

#define IMGCAP_CUDA_TYPES(value) \
  value(CUDA_R_32F, 0) value(CUDA_R_64F, 1) value(CUDA_R_16F, 2) value(CUDA_R_16BF, 14)

#define IMGCAP_CUBLAS_STATUSES(value)                                                           \
  value(CUBLAS_STATUS_SUCCESS, 0) value(CUBLAS_STATUS_NOT_INITIALIZED, 1)                       \
      value(CUBLAS_STATUS_ALLOC_FAILED, 3) value(CUBLAS_STATUS_INVALID_VALUE, 7)                \
          value(CUBLAS_STATUS_ARCH_MISMATCH, 8) value(CUBLAS_STATUS_MAPPING_ERROR, 11)          \
              value(CUBLAS_STATUS_EXECUTION_FAILED, 13) value(CUBLAS_STATUS_INTERNAL_ERROR, 14) \
                  value(CUBLAS_STATUS_NOT_SUPPORTED, 15) value(CUBLAS_STATUS_LICENSE_ERROR, 16)

#define IMGCAP_CUBLAS_OPERATIONS(value) value(CUBLAS_OP_N, 0) value(CUBLAS_OP_T, 1) value(CUBLAS_OP_C, 2)

#define IMGCAP_CUBLAS_COMPUTE_TYPES(value) value(CUBLAS_COMPUTE_32F, 68) value(CUBLAS_COMPUTE_64F, 70)

#define IMGCAP_CUBLASLT_POINTER_MODES(value) \
  value(CUBLASLT_POINTER_MODE_HOST, 0) value(CUBLASLT_POINTER_MODE_DEVICE, 1)

#define IMGCAP_CUBLASLT_EPILOGUES(value)                                                                \
  value(CUBLASLT_EPILOGUE_DEFAULT, 1) value(CUBLASLT_EPILOGUE_RELU, 2) value(CUBLASLT_EPILOGUE_BIAS, 4) \
      value(CUBLASLT_EPILOGUE_RELU_BIAS, 6) value(CUBLASLT_EPILOGUE_GELU, 32)                           \
          value(CUBLASLT_EPILOGUE_GELU_BIAS, 36)

#define IMGCAP_CUBLASLT_REDUCTION_SCHEMES(value)                                                       \
  value(CUBLASLT_REDUCTION_SCHEME_NONE, 0) value(CUBLASLT_REDUCTION_SCHEME_INPLACE, 1)                 \
      value(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 2) value(CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 4) \
          value(CUBLASLT_REDUCTION_SCHEME_MASK, 7)

#define IMGCAP_CUBLASLT_DESC_ATTRIBUTES(value)                                                              \
  value(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, 0) value(CUBLASLT_MATMUL_DESC_SCALE_TYPE, 1)                     \
      value(CUBLASLT_MATMUL_DESC_POINTER_MODE, 2) value(CUBLASLT_MATMUL_DESC_TRANSA, 3)                     \
          value(CUBLASLT_MATMUL_DESC_TRANSB, 4) value(CUBLASLT_MATMUL_DESC_EPILOGUE, 7)                     \
              value(CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8) value(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, 10) \
                  value(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, 26)

#define IMGCAP_CUBLASLT_LAYOUT_ATTRIBUTES(value)                                \
  value(CUBLASLT_MATRIX_LAYOUT_TYPE, 0) value(CUBLASLT_MATRIX_LAYOUT_ROWS, 2)   \
      value(CUBLASLT_MATRIX_LAYOUT_COLS, 3) value(CUBLASLT_MATRIX_LAYOUT_LD, 4) \
          value(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 5) value(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 6)

#define IMGCAP_CUBLASLT_PREFERENCE_ATTRIBUTES(value)                                                      \
  value(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1) value(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 3) \
      value(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 5)                                                \
          value(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 6)                                            \
              value(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 7)                                        \
                  value(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 8)

#define IMGCAP_CUBLASLT_SIZES(value)                                              \
  value(cublasLtMatrixLayoutOpaque_t, 64) value(cublasLtMatmulDescOpaque_t, 256)  \
      value(cublasLtMatmulPreferenceOpaque_t, 64) value(cublasLtMatmulAlgo_t, 64) \
          value(cublasLtMatmulHeuristicResult_t, 96)

#define IMGCAP_CUBLASLT_RESULT_OFFSETS(value) \
  value(algo, 0) value(workspaceSize, 64) value(state, 72) value(wavesCount, 76) value(reserved, 80)

// function(result, name, parameters)
#define IMGCAP_CUBLASLT_FUNCTIONS(function)                                                                  \
  function(cublasStatus_t, cublasLtCreate, (cublasLtHandle_t * handle)) function(                            \
      cublasStatus_t, cublasLtDestroy,                                                                       \
      (cublasLtHandle_t handle)) function(const char*, cublasLtGetStatusName, (cublasStatus_t status))       \
      function(const char*, cublasLtGetStatusString, (cublasStatus_t status)) function(                      \
          size_t, cublasLtGetVersion, (void)) function(cublasStatus_t, cublasLtMatrixLayoutCreate,           \
                                                       (cublasLtMatrixLayout_t * layout, cudaDataType type,  \
                                                        uint64_t rows, uint64_t cols, int64_t ld))           \
          function(cublasStatus_t, cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t layout)) function(   \
              cublasStatus_t, cublasLtMatrixLayoutSetAttribute,                                              \
              (cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, const void* value,  \
               size_t bytes)) function(cublasStatus_t, cublasLtMatmulDescCreate,                             \
                                       (cublasLtMatmulDesc_t * desc, cublasComputeType_t compute,            \
                                        cudaDataType_t scale))                                               \
              function(cublasStatus_t, cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t desc)) function(     \
                  cublasStatus_t, cublasLtMatmulDescSetAttribute,                                            \
                  (cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, const void* value,   \
                   size_t bytes)) function(cublasStatus_t, cublasLtMatmulPreferenceCreate,                   \
                                           (cublasLtMatmulPreference_t * preference))                        \
                  function(cublasStatus_t, cublasLtMatmulPreferenceDestroy,                                  \
                           (cublasLtMatmulPreference_t preference))                                          \
                      function(                                                                              \
                          cublasStatus_t, cublasLtMatmulPreferenceSetAttribute,                              \
                          (cublasLtMatmulPreference_t preference,                                            \
                           cublasLtMatmulPreferenceAttributes_t attribute, const void* value, size_t bytes)) \
                          function(cublasStatus_t, cublasLtMatmulAlgoGetHeuristic,                           \
                                   (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,                      \
                                    cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,                      \
                                    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,                      \
                                    cublasLtMatmulPreference_t preference, int wanted,                       \
                                    cublasLtMatmulHeuristicResult_t results[], int* found))                  \
                              function(cublasStatus_t, cublasLtMatmul,                                       \
                                       (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,                  \
                                        const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,   \
                                        const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,    \
                                        const void* c, cublasLtMatrixLayout_t c_layout, void* d,             \
                                        cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,   \
                                        void* workspace, size_t workspace_bytes, cudaStream_t stream))
