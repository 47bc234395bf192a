// Host code alone. A 1x1 kernel with stride 1 is a matrix product as it stands; a depthwise one is computed
// directly (conv2d_depthwise.cu); all others copy the windows into the columns of matrices (im2col,
// conv2d_columns.cu) some images at a time and multiply (driver/blas_lt.h).
#include <algorithm>
#include <cstddef>

#include "tensor/cuda/conv2d_columns.h"
#include "tensor/cuda/conv2d_depthwise.h"
#include "tensor/cuda/driver/blas_lt.h"
#include "tensor/kernels.h"
#include "tensor/widening.h"

namespace tensor::cuda {
namespace {

using internal::Conv2dGeometry;

// f(first image, images) for each tile of images, the first one first; columns of so many bytes are made for
// each image.
template <class F>
void for_each_tile(const Conv2dGeometry& g, int64_t bytes, const F& f) {
  const int64_t fitting = bytes == 0 ? g.n : std::clamp<int64_t>(column_room / bytes, 1, g.n);
  for (int64_t first = 0; first < g.n; first += fitting) f(first, std::min(fitting, g.n - first));
}

int64_t column_bytes(const Conv2dGeometry& g, DType type) {
  return g.groups * g.k * g.pixels * size_of(type);
}

// The matrices of an operand, one for each image and group.
struct Matrices {
  const std::byte* data;
  bool transposed;                   // as in BlasOperand
  int64_t row_stride, image, group;  // elements from one row, image and group to the next

  BlasOperand operand(int64_t offset, int64_t batch_stride, DType type) const {
    return {data + offset * size_of(type), transposed, row_stride, batch_stride};
  }
};

struct Products {
  const char* op;
  Device device;
  int64_t images, groups;
  int64_t m, n, k;
  DType input, output;
  Matrices a, b, out;
  double beta = 0;
};

// out (m, n) = a (m, k) b (k, n) + beta out for each image and group. A batch has one stride, so it is along
// images or groups, whichever are more.
void multiply_all(const Products& p) {
  const bool by_image = p.images >= p.groups;
  for (int64_t i = 0; i < (by_image ? p.groups : p.images); ++i) {
    const auto offset = [&](const Matrices& x) { return i * (by_image ? x.group : x.image); };
    const auto stride = [&](const Matrices& x) { return by_image ? x.image : x.group; };
    multiply({.op = p.op,
              .device = p.device,
              .m = p.m,
              .n = p.n,
              .k = p.k,
              .batches = by_image ? p.images : p.groups,
              .input = p.input,
              .output = p.output,
              .a = p.a.operand(offset(p.a), stride(p.a), p.input),
              .b = p.b.operand(offset(p.b), stride(p.b), p.input),
              .out = const_cast<std::byte*>(p.out.data) + offset(p.out) * size_of(p.output),
              .out_row_stride = p.out.row_stride,
              .out_batch_stride = stride(p.out),
              .beta = p.beta});
  }
}

// The pictures of x, at `data`, from `first` on: their channels' planes.
Matrices pictures(const std::byte* data, const Tensor& x, int64_t first, int64_t groups) {
  const int64_t plane = x.size(2) * x.size(3), image = x.size(1) * plane;
  return {data + first * image * size_of(x.dtype()), false, plane, image, image / groups};
}

Matrices weights(const std::byte* data, const Conv2dGeometry& g, bool transposed) {
  return {data, transposed, g.k, 0, g.og * g.k};
}

// Columns::of_images.
Matrices columns_of_images(const Tensor& columns, const Conv2dGeometry& g) {
  return {columns.device_raw(), false, g.pixels, g.groups * g.k * g.pixels, g.k * g.pixels};
}

// The bias is what the product adds to: cuBLASLt's own is one for each of our columns.
void forward_products(Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias,
                      const Conv2dGeometry& g) {
  if (bias.defined()) out.copy_(bias.view({1, g.o, 1, 1}));
  const DType type = x.dtype();
  for_each_tile(g, g.pointwise() ? 0 : column_bytes(g, type), [&](int64_t first, int64_t images) {
    Matrices seen = pictures(x.device_raw(), x, first, g.groups);
    Tensor columns;
    if (!g.pointwise()) {
      columns = Tensor::empty({images, g.groups * g.k, g.pixels}, type, x.device());
      gather_columns(columns.mutable_device_raw(), seen.data, g, images, Columns::of_images, type, "conv2d",
                     x.device());
      seen = columns_of_images(columns, g);
    }
    multiply_all({.op = "conv2d",
                  .device = out.device(),
                  .images = images,
                  .groups = g.groups,
                  .m = g.og,
                  .n = g.pixels,
                  .k = g.k,
                  .input = type,
                  .output = type,
                  .a = weights(w.device_raw(), g, false),
                  .b = seen,
                  .out = pictures(out.mutable_device_raw(), out, first, g.groups),
                  .beta = bias.defined() ? 1.0 : 0.0});
  });
}

// The columns of 16-bit gradients are f32, so that dx is rounded once.
void backward_input_products(Tensor& dx, const Tensor& dout, const Tensor& w, const Conv2dGeometry& g) {
  const bool direct = g.pointwise();
  const DType type = is_half(dx.dtype()) && !direct ? DType::f32 : dx.dtype();
  for_each_tile(g, direct ? 0 : column_bytes(g, type), [&](int64_t first, int64_t images) {
    const Matrices target = pictures(dx.mutable_device_raw(), dx, first, g.groups);
    Tensor columns;
    if (!direct) columns = Tensor::empty({images, g.groups * g.k, g.pixels}, type, dx.device());
    multiply_all({.op = "conv2d_backward_input",
                  .device = dx.device(),
                  .images = images,
                  .groups = g.groups,
                  .m = g.k,
                  .n = g.pixels,
                  .k = g.og,
                  .input = dout.dtype(),
                  .output = type,
                  .a = weights(w.device_raw(), g, true),
                  .b = pictures(dout.device_raw(), dout, first, g.groups),
                  .out = direct ? target : columns_of_images(columns, g)});
    if (!direct)
      add_columns(const_cast<std::byte*>(target.data), columns.device_raw(), g, images, dx.dtype(),
                  "conv2d_backward_input", dx.device());
  });
}

// (n, c, h, w) -> (c, images, h, w): the planes of a channel lie one after the other. One image is not copied.
Tensor by_channel(const Tensor& all, int64_t first, int64_t images) {
  return all.slice(0, first, first + images).permute({1, 0, 2, 3}).contiguous();
}

// Columns::of_rows, for images from `first` on.
Tensor columns_of_rows(const Tensor& x, const Conv2dGeometry& g, int64_t first, int64_t images) {
  if (g.pointwise()) return by_channel(x, first, images);
  Tensor columns = Tensor::empty({g.groups * g.k, images, g.pixels}, x.dtype(), x.device());
  gather_columns(columns.mutable_device_raw(), pictures(x.device_raw(), x, first, g.groups).data, g, images,
                 Columns::of_rows, x.dtype(), "conv2d_backward_weight", x.device());
  return columns;
}

// The sum over the images of a tile is the product's; tiles follow one another. 16-bit sums are rounded once.
void backward_weight_products(Tensor& dw, const Tensor& dout, const Tensor& x, const Conv2dGeometry& g) {
  const int64_t bytes = column_bytes(g, x.dtype());
  const bool apart = is_half(dw.dtype()) && g.n * bytes > column_room;
  Tensor sums = apart ? Tensor::empty(dw.shape(), DType::f32, dw.device()) : dw;
  for_each_tile(g, bytes, [&](int64_t first, int64_t images) {
    const Tensor gradient = by_channel(dout, first, images), columns = columns_of_rows(x, g, first, images);
    const int64_t terms = images * g.pixels;
    multiply_all({.op = "conv2d_backward_weight",
                  .device = dw.device(),
                  .images = 1,
                  .groups = g.groups,
                  .m = g.og,
                  .n = g.k,
                  .k = terms,
                  .input = x.dtype(),
                  .output = sums.dtype(),
                  .a = {gradient.device_raw(), false, terms, 0, g.og * terms},
                  .b = {columns.device_raw(), true, terms, 0, g.k * terms},
                  .out = weights(sums.mutable_device_raw(), g, false),
                  .beta = first > 0 ? 1.0 : 0.0});
  });
  if (apart) dw.copy_(sums);
}

void expect_floating(const Tensor& t, const char* op) {
  check(is_floating(t.dtype()), ErrorKind::dtype, "{}: f32 or f64 is needed, not {}", op, name_of(t.dtype()));
}

// Whether types differ, some of 16 bits: then numbers are widened, and the result rounded once.
template <class... Inputs>
bool is_mixed(const Tensor& out, const Inputs&... inputs) {
  tensor::internal::FloatTypes types;
  types(out);
  (types(inputs), ...);
  return types.any_half && types.mixed;
}

// run(wide) with f32 for a 16-bit `out`.
template <class Run>
void rounded(Tensor& out, const Run& run) {
  Tensor wide = tensor::internal::wide_output(out, false);
  run(wide);
  tensor::internal::round_into(out, wide);
}

}  // namespace

using tensor::internal::widen;

void conv2d(Tensor& out, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options) {
  if (out.numel() == 0) return;
  expect_floating(out, "conv2d");
  if (is_mixed(out, x, w, bias))
    return rounded(out, [&](Tensor& wide) { conv2d(wide, widen(x), widen(w), widen(bias), options); });
  check(!bias.defined() || bias.dtype() == out.dtype(), ErrorKind::dtype, "conv2d: bias {} for output {}",
        describe(bias), describe(out));
  const Conv2dGeometry g(x.shape(), w.shape(), out.shape(), options);
  if (g.c == 0) return bias.defined() ? out.copy_(bias.view({1, g.o, 1, 1})) : fill(out, 0);  // an empty sum
  (g.depthwise() ? forward_depthwise : forward_products)(out, x, w, bias, g);
}

void conv2d_backward_input(Tensor& dx, const Tensor& dout, const Tensor& w, const Conv2dOptions& options) {
  if (dx.numel() == 0) return;
  expect_floating(dx, "conv2d_backward_input");
  if (is_mixed(dx, dout, w))
    return rounded(dx, [&](Tensor& wide) { conv2d_backward_input(wide, widen(dout), widen(w), options); });
  const Conv2dGeometry g(dx.shape(), w.shape(), dout.shape(), options);
  (g.depthwise() ? backward_input_depthwise : backward_input_products)(dx, dout, w, g);
}

void conv2d_backward_weight(Tensor& dw, const Tensor& dout, const Tensor& x, const Conv2dOptions& options) {
  if (dw.numel() == 0) return;
  expect_floating(dw, "conv2d_backward_weight");
  if (dout.numel() == 0) return fill(dw, 0);
  if (is_mixed(dw, dout, x))
    return rounded(dw, [&](Tensor& wide) { conv2d_backward_weight(wide, widen(dout), widen(x), options); });
  const Conv2dGeometry g(x.shape(), dw.shape(), dout.shape(), options);
  (g.depthwise() ? backward_weight_depthwise : backward_weight_products)(dw, dout, x, g);
}

}  // namespace tensor::cuda
