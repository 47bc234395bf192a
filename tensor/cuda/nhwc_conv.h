// What the kernels of pictures with channels last share. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/cuda/device.h"
#include "tensor/cuda/window_axis.h"
#include "tensor/nhwc.h"

// Before a loop that has to be unrolled, so that the arrays that it counts through stay in registers.
#ifdef __NVCC__
#define IMGCAP_UNROLL _Pragma("unroll")
#else
#define IMGCAP_UNROLL
#endif

namespace tensor::cuda {

// As kernels::conv2d_nhwc, of one group and depthwise.
void conv2d_dense(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                  const NhwcBatch* residual, Activation activation);
void conv2d_depthwise(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed, const Conv2dOptions& o,
                      const NhwcBatch* residual, Activation activation);

// Calls f.template operator()<T>() with the type of pictures.
template <class F>
void dispatch_pictures(DType dtype, F&& f) {
  if (dtype == DType::f16) return f.template operator()<f16>();
  dtype == DType::bf16 ? f.template operator()<bf16>() : f.template operator()<float>();
}

// In 32 bits where both fit.
__device__ inline Division divide(int64_t a, int64_t b) { return divide(a, b, (a | b) >> 32 == 0); }

// Piece i of pictures whose rows have `columns` pieces of each of `packs` packs of channels.
struct Piece {
  int64_t image, y, column, pack;
};
__device__ inline Piece piece_of(int64_t i, int64_t rows, int64_t columns, int64_t packs) {
  const Division pack = divide(i, packs), column = divide(pack.quotient, columns),
                 row = divide(column.quotient, rows);
  return {row.quotient, row.rest, column.rest, pack.rest};
}

// A convolution's window or a pool's, as it goes over pictures.
struct Window {
  int64_t h, w, c;  // of the input
  int64_t oh, ow;   // of the result
  int64_t rows, columns, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
};

inline Window window_of(const NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& packed,
                        const Conv2dOptions& o) {
  return {x.h(),
          x.w(),
          x.c(),
          out.h(),
          out.w(),
          packed.weight_shape[2],
          packed.weight_shape[3],
          o.stride_h,
          o.stride_w,
          o.pad_top,
          o.pad_left,
          o.dilation_h,
          o.dilation_w};
}

}  // namespace tensor::cuda
