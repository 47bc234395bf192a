// The windows of a convolution as the columns of matrices (im2col), and back. Elements are counted in 64 bits.
#pragma once

#include <atomic>
#include <cstdint>

#include "tensor/conv2d_geometry.h"
#include "tensor/device.h"
#include "tensor/dtype.h"

namespace tensor::cuda {

// Bytes of the columns that are there at once; one image's at least. Tests set another number.
inline std::atomic<int64_t> column_room{int64_t{64} << 20};

enum class Columns {
  of_images,  // (images, groups k, pixels): each image has matrices of its own
  of_rows,    // (groups k, images, pixels): all images are one matrix a group
};

// columns[row, pixel] of image i: what pixel sees by tap `row` = (channel, tap), 0 outside. x: so many images of
// g, of `dtype`, and columns in the order that is wanted. Errors: cuda.
void gather_columns(void* columns, const void* x, const internal::Conv2dGeometry& g, int64_t images,
                    Columns order, DType dtype, const char* op, Device device);

// The reverse: dx[i] = the sum of the columns' elements that came from it. columns is (images, groups k,
// pixels), of dx's type, or f32 for 16-bit ones. Errors: cuda.
void add_columns(void* dx, const void* columns, const internal::Conv2dGeometry& g, int64_t images,
                 DType dtype, const char* op, Device device);

}  // namespace tensor::cuda
