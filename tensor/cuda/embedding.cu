#include <algorithm>

#include "tensor/cuda/bad_index.h"
#include "tensor/cuda/bits.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// The check of the ids for a weight (v, d), with the CPU's sentence.
IndexCheck check_ids(const Tensor& weight, const Tensor& ids) {
  return check_indices(weight.device(), [shape = ids.shape(), table = weight.shape()](int64_t id, int64_t i) {
    return format("embedding: id {} at position {} of ids {} is outside the {} rows of weight {}", id, i,
                  shape, table[0], table);
  });
}

// A thread copies one pack; a row has `packs`. Rows of bad ids are zeros. Bytes: ids, out, and as much of the
// weight.
template <class Packed>
__global__ void copy_rows(Packed* out, const Packed* weight, const int64_t* ids, int64_t n, int64_t packs,
                          int64_t words, IndexCheck check) {
  const int64_t at = thread_index();
  if (at >= n * packs) return;
  const int64_t i = at / packs, id = ids[i];
  out[at] = is_good(check, id, words, i) ? weight[id * packs + at % packs] : Packed{};
}

template <int P, class Bits>
void launch_copy(std::byte* out, const std::byte* weight, const Tensor& ids, int64_t width, int64_t words,
                 IndexCheck check) {
  using Packed = Pack<Bits, P>;
  const int64_t n = ids.numel(), packs = width / P;
  const auto row = static_cast<double>(width) * sizeof(Bits);
  launch({.op = "embedding",
          .device = ids.device(),
          .grid = grid_of(n * packs),
          .block = kThreads,
          .bytes = static_cast<double>(n) * (sizeof(int64_t) + 2 * row)},
         copy_rows<Packed>, reinterpret_cast<Packed*>(out), reinterpret_cast<const Packed*>(weight),
         ids.device_data<int64_t>(), n, packs, words, check);
}

constexpr int kColumns = 4;  // of a lane

// The first position of each id adds all of its gradients, in their order: a warp for some columns, which looks
// for that id before and behind its own position. Sums in f64, rounded once. Bytes, when all ids differ: ids,
// dout, and the rows of dweight twice. FLOPs: 1 an element of dout.
template <class T>
__global__ void add_rows(T* dweight, const T* dout, const int64_t* ids, int64_t n, int64_t width,
                         int64_t words, IndexCheck check) {
  const int64_t i = row_index(), lane = threadIdx.x;
  const int64_t column = blockIdx.y * int64_t{kWarp * kColumns} + lane;
  const int64_t id = i < n ? ids[i] : 0;
  bool is_first = i < n && is_good(check, id, words, i);
  for (int64_t k = 0; is_first && k < i; k += kWarp)
    is_first = votes(k + lane < i && ids[k + lane] == id) == 0;
  double sums[kColumns] = {};
  for (int64_t k = i; is_first && k < n; k += kWarp)
    for (unsigned same = votes(k + lane < n && ids[k + lane] == id); same != 0; same &= same - 1) {
      const T* row = dout + (k + lowest_bit(same)) * width;
      for (int c = 0; c < kColumns; ++c)
        if (column + c * kWarp < width) sums[c] += static_cast<double>(row[column + c * kWarp]);
    }
  for (int c = 0; c < kColumns; ++c)
    if (is_first && column + c * kWarp < width) {
      T& d = dweight[id * width + column + c * kWarp];
      d = static_cast<T>(static_cast<double>(d) + sums[c]);
    }
}

}  // namespace

void embedding(Tensor& out, const Tensor& weight, const Tensor& ids) {
  if (ids.numel() == 0) return;
  const Tensor flat = ids.contiguous(), table = weight.contiguous();
  const IndexCheck check = check_ids(weight, ids);
  const std::byte* source = table.device_raw();
  std::byte* target = out.mutable_device_raw();
  const int64_t words = table.size(0), width = table.size(1);
  dispatch_bits(table.dtype(), [&]<class Bits>() {
    if (in_packs<Bits>(width, {source, target}))
      launch_copy<kPack<Bits>, Bits>(target, source, flat, width, words, check);
    else
      launch_copy<1, Bits>(target, source, flat, width, words, check);
  });
}

void embedding_backward(Tensor& dweight, const Tensor& dout, const Tensor& ids) {
  if (ids.numel() == 0) return;
  const Tensor flat = ids.contiguous(), gradient = dout.contiguous();
  const IndexCheck check = check_ids(dweight, ids);
  const int64_t n = flat.numel(), words = dweight.size(0), width = dweight.size(1);
  constexpr int64_t kWarps = kThreads / kWarp, kTileColumns = kWarp * kColumns;
  const Launch config{
      .op = "embedding_backward",
      .device = dweight.device(),
      .grid = dim3(static_cast<unsigned>((n + kWarps - 1) / kWarps),
                   static_cast<unsigned>(std::max<int64_t>(1, (width + kTileColumns - 1) / kTileColumns))),
      .block = dim3(kWarp, kWarps),
      .barriers = Barriers::some,
      .flops = static_cast<double>(gradient.numel()),
      .bytes = static_cast<double>(flat.bytes() + 3 * gradient.bytes())};
  dispatch_float(dweight.dtype(), "embedding", [&]<class T>() {
    launch(config, add_rows<T>, dweight.mutable_device_data<T>(), gradient.device_data<T>(),
           flat.device_data<int64_t>(), n, width, words, check);
  });
}

}  // namespace tensor::cuda
