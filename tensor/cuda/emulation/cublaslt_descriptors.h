// What the emulated cuBLASLt keeps in its opaque descriptors.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tensor::cuda::emulation {

struct MatrixLayout {
  uint32_t type = 0;
  int32_t batches = 1;
  uint64_t rows = 0, columns = 0;
  int64_t leading = 0;  // elements from one column to the next
  int64_t batch_stride = 0;

  bool operator==(const MatrixLayout&) const = default;
};

struct MatmulDesc {
  int32_t compute = 0, scale = 0, pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  int32_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  int64_t bias_batch_stride = 0;
  int32_t bias_type = -1;  // that of D
};

struct MatmulPreference {
  uint64_t workspace_bytes = 0;
  uint32_t reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignment_a = 256, alignment_b = 256, alignment_c = 256, alignment_d = 256;
};

template <class Inside, class Opaque>
Inside inside(const Opaque* opaque) {
  static_assert(sizeof(Inside) <= sizeof(Opaque) && std::is_trivially_copyable_v<Inside>);
  Inside value;
  std::memcpy(&value, opaque->data, sizeof value);
  return value;
}

template <class Opaque, class Inside>
void put_inside(Opaque* opaque, const Inside& value) {
  static_assert(sizeof(Inside) <= sizeof(Opaque) && std::is_trivially_copyable_v<Inside>);
  std::memcpy(opaque->data, &value, sizeof value);
}

}  // namespace tensor::cuda::emulation
