#include "tensor/cuda/conv2d_columns.h"

#include <type_traits>

#include "tensor/cuda/bits.h"
#include "tensor/cuda/conv2d_windows.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"

namespace tensor::cuda {
namespace {

// A thread gathers P pixels of a row, whatever their numbers mean. `channels` and rows are of an image. Bytes:
// what the windows see of x, and columns.
template <int P, class Bits>
__global__ void gather(Bits* columns, const Bits* x, Windows windows, int64_t channels, int64_t images,
                       Columns order, bool narrow) {
  const int64_t packs = windows.outputs() / P, rows = channels * windows.taps(), at = thread_index();
  if (at >= images * rows * packs) return;
  const bool of_images = order == Columns::of_images;
  const Division place = divide(at, packs, narrow);
  const Division outer = divide(place.quotient, of_images ? rows : images, narrow);
  const int64_t image = of_images ? outer.quotient : outer.rest,
                row = of_images ? outer.rest : outer.quotient;
  const Division channel = divide(row, windows.taps(), narrow);
  const Division tap = divide(channel.rest, windows.x.taps, narrow);
  Division pixel = divide(place.rest * P, windows.x.out, narrow);
  const Bits* plane = x + (image * channels + channel.quotient) * windows.inputs();
  Pack<Bits, P> pack;
  for (int k = 0; k < P; ++k) {
    const int64_t iy = windows.y.input(pixel.quotient, tap.quotient),
                  ix = windows.x.input(pixel.rest, tap.rest);
    pack.at[k] = windows.y.has(iy) && windows.x.has(ix) ? plane[iy * windows.x.in + ix] : Bits(0);
    if (++pixel.rest == windows.x.out) pixel.rest = 0, ++pixel.quotient;
  }
  reinterpret_cast<Pack<Bits, P>*>(columns)[at] = pack;
}

// A thread has one input: the windows that it is in overlap, and are added in the order of their taps. Bytes:
// dx, and of columns what came from within the picture. FLOPs: 1 for each of those.
template <class T>
__global__ void add(T* dx, const Computed<T>* columns, Windows windows, int64_t planes, bool narrow) {
  const int64_t at = thread_index();
  if (at >= planes * windows.inputs()) return;
  const Division row = divide(at, windows.x.in, narrow), plane = divide(row.quotient, windows.y.in, narrow);
  const Computed<T>* from = columns + plane.quotient * windows.taps() * windows.outputs();
  Computed<T> sum = 0;
  for (int64_t i = 0; i < windows.y.taps; ++i) {
    const int64_t y = windows.y.output(plane.rest, i);
    if (y < 0) continue;
    for (int64_t j = 0; j < windows.x.taps; ++j) {
      const int64_t q = windows.x.output(row.rest, j);
      if (q >= 0) sum += from[((i * windows.x.taps + j) * windows.y.out + y) * windows.x.out + q];
    }
  }
  dx[at] = static_cast<T>(sum);
}

}  // namespace

void gather_columns(void* columns, const void* x, const internal::Conv2dGeometry& g, int64_t images,
                    Columns order, DType dtype, const char* op, Device device) {
  const Windows windows = windows_of(g);
  const int64_t count = images * g.c * windows.taps() * g.pixels;
  const bool narrow = count <= INT32_MAX;
  dispatch_bits(dtype, [&]<class Bits>() {
    const auto run = [&]<int P>(std::integral_constant<int, P>) {
      launch({.op = op,
              .device = device,
              .grid = grid_of(count / P),
              .block = kThreads,
              .bytes = static_cast<double>(sizeof(Bits)) *
                       (static_cast<double>(images * g.c) * windows.seen() + static_cast<double>(count))},
             gather<P, Bits>, static_cast<Bits*>(columns), static_cast<const Bits*>(x), windows, g.c, images,
             order, narrow);
    };
    if (g.pixels % kPack<Bits> == 0 && aligned(columns))
      run(std::integral_constant<int, kPack<Bits>>());
    else
      run(std::integral_constant<int, 1>());
  });
}

void add_columns(void* dx, const void* columns, const internal::Conv2dGeometry& g, int64_t images,
                 DType dtype, const char* op, Device device) {
  const Windows windows = windows_of(g);
  const int64_t planes = images * g.c, count = planes * windows.inputs();
  const bool narrow = count <= INT32_MAX;
  const double added = static_cast<double>(planes) * windows.pairs();
  dispatch_floating(dtype, op, [&]<class T>() {
    launch({.op = op,
            .device = device,
            .grid = grid_of(count),
            .block = kThreads,
            .flops = added,
            .bytes = static_cast<double>(count) * sizeof(T) + added * sizeof(Computed<T>)},
           add<T>, static_cast<T*>(dx), static_cast<const Computed<T>*>(columns), windows, planes, narrow);
  });
}

}  // namespace tensor::cuda
