// Weights as their files have them. Products read them so, as few rows cost the bytes of the weights, and widen them in
// registers; no second, wide copy is kept. They are not cuBLASLt's, not even those of f32: it chooses a kernel by the number
// of rows, and a search's captions are not to depend on what else is searched for.
#include "tensor/cuda/bad_index.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// Where the elements of a matrix are.
struct Places {
  int64_t row, column;  // strides
};

// A thread widens one element; rows of bad ids are zeros. Bytes: ids, out, and of weight and scales what is asked
// for.
template <class T>
__global__ void widen_rows(float* out, const T* weight, const f16* scales, const int64_t* ids, int64_t n,
                           int64_t width, int64_t out_row, Places places, int64_t rows, IndexCheck check) {
  const int64_t at = thread_index();
  if (at >= n * width) return;
  const int64_t i = at / width, j = at % width, id = ids[i];
  float value = 0;
  if (is_good(check, id, rows, i)) {
    const T stored = weight[id * places.row + j * places.column];
    if constexpr (std::is_same_v<T, uint8_t>)
      value = static_cast<float>(scales[id]) * static_cast<float>(static_cast<int>(stored) - 128);
    else
      value = static_cast<float>(stored);
  }
  out[i * out_row + j] = value;
}

// A lane reads that many elements of a row at once; packed rows begin at multiples of it.
constexpr int kWidth = 4;
// What a warp makes: rows of x by rows of the weight, a sum for each lane. A block is warps side by side.
constexpr int kRows = 8, kColumns = 4, kWarps = 4;
static_assert(kRows * kColumns == kWarp);

struct Product {
  float* out;
  const float* x;
  const f16* scales;
  int64_t m, n, k;
  int64_t out_row, x_row, weight_row;  // strides
  int64_t row_tiles;                   // blocks for the rows of x
  bool x_in_packs, accumulate;
};

// Of 32 numbers of each lane: lane i gets the sum of all lanes' number i. Each sum is the same tree of additions. Two lanes
// share out what they have, kHalf numbers for each.
template <int kHalf = kWarp / 2>
__device__ float sum_for_lane(float (&numbers)[kWarp]) {
  const bool upper = (threadIdx.x & static_cast<unsigned>(kHalf)) != 0;
  for (int i = 0; i < kHalf; ++i) {
    const float kept = upper ? numbers[i + kHalf] : numbers[i],
                sent = upper ? numbers[i] : numbers[i + kHalf];
    numbers[i] = kept + from_lane(sent, kHalf);
  }
  if constexpr (kHalf > 1)
    return sum_for_lane<kHalf / 2>(numbers);
  else
    return numbers[0];
}

// out (m, n) = x (m, k) weight^T, or +=. A warp's lanes share the sums over k, so that its reads are side by side; which
// lane adds what follows from k alone, and so do the bits of a row: not from the other rows or the weight's type. Blocks
// that follow one another take other rows of x by the same weights. Bytes: x, the weight, its scales and out. FLOPs: 2 m n k.
template <class T>
__global__ void multiply_stored(const T* weight, Product p) {
  const int64_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t row = blockIdx.x % p.row_tiles * kRows,
                column = (blockIdx.x / p.row_tiles * kWarps + warp) * kColumns;
  const int64_t rows = p.m - row, columns = p.n - column;  // a tile's or more; none is left for some warps
  const float* x = p.x + row * p.x_row;
  weight += column * p.weight_row;
  [[maybe_unused]] float scales[kColumns] = {};
  if constexpr (std::is_same_v<T, uint8_t>)
    for (int c = 0; c < kColumns; ++c)
      if (c < columns) scales[c] = static_cast<float>(p.scales[column + c]);
  float sums[kRows * kColumns] = {};
  for (int64_t i = lane * kWidth; i < p.k; i += kWarp * kWidth) {
    float w[kColumns][kWidth] = {};
    for (int c = 0; c < kColumns; ++c) {
      if (c >= columns) continue;
      const auto stored = *reinterpret_cast<const Pack<T, kWidth>*>(weight + c * p.weight_row + i);
      for (int j = 0; j < kWidth; ++j)
        if constexpr (std::is_same_v<T, uint8_t>)
          w[c][j] = scales[c] * static_cast<float>(static_cast<int>(stored.at[j]) - 128);
        else
          w[c][j] = static_cast<float>(stored.at[j]);
    }
    for (int r = 0; r < kRows; ++r) {
      if (r >= rows) continue;
      const float* from = x + r * p.x_row + i;
      Pack<float, kWidth> in{};
      if (p.x_in_packs) {
        in = *reinterpret_cast<const Pack<float, kWidth>*>(from);
      } else {
        for (int j = 0; j < kWidth; ++j)
          if (i + j < p.k) in.at[j] = from[j];
      }
      for (int c = 0; c < kColumns; ++c)
        for (int j = 0; j < kWidth; ++j) sums[r * kColumns + c] += in.at[j] * w[c][j];
    }
  }
  const float sum = sum_for_lane(sums);
  const int64_t r = lane / kColumns, c = lane % kColumns;
  if (r >= rows || c >= columns) return;
  float& out = p.out[(row + r) * p.out_row + column + c];
  out = p.accumulate ? out + sum : sum;
}

template <class Call>
void dispatch_stored(DType dtype, Call call) {
  if (dtype == DType::u8) return call.template operator()<uint8_t>();
  if (dtype == DType::f16) return call.template operator()<f16>();
  if (dtype == DType::bf16) return call.template operator()<bf16>();
  call.template operator()<float>();
}

}  // namespace

// The weight itself where its rows begin at multiples of kWidth and have whole packs, and else a copy whose rows have zeros
// behind them.
void pack_narrow(Tensor& packed, Tensor& packed_scales, const Tensor& weight, const Tensor& scales) {
  const int64_t n = weight.size(0), k = weight.size(1);
  const size_t width = kWidth * static_cast<size_t>(size_of(weight.dtype()));
  packed_scales = scales.defined() ? scales.contiguous() : Tensor();
  packed = weight;
  if (k % kWidth == 0 && weight.strides()[0] % kWidth == 0 && (k == 0 || weight.strides()[1] == 1) &&
      aligned(weight.device_raw(), width))
    return;
  const int64_t padded = (k + kWidth - 1) / kWidth * kWidth;
  packed = Tensor::full({n, padded}, weight.dtype() == DType::u8 ? 128 : 0, weight.dtype(), weight.device())
               .slice(1, 0, k);
  packed.copy_(weight);
}

void narrow_matmul(Tensor& out, const Tensor& a, const Tensor& packed, const Tensor& scales,
                   bool accumulate) {
  const int64_t m = a.size(0), n = out.size(1), k = a.size(1);
  check(packed.shape() == Shape{n, k}, ErrorKind::shape, "narrow_matmul: {} by another packed matrix into {}",
        describe(a), describe(out));
  if (out.numel() == 0) return;
  const Product p{.out = out.mutable_device_data<float>(),
                  .x = a.device_data<float>(),
                  .scales = scales.defined() ? scales.device_data<f16>() : nullptr,
                  .m = m,
                  .n = n,
                  .k = k,
                  .out_row = out.strides()[0],
                  .x_row = a.strides()[0],
                  .weight_row = packed.strides()[0],
                  .row_tiles = (m + kRows - 1) / kRows,
                  .x_in_packs = k % kWidth == 0 && a.strides()[0] % kWidth == 0 && aligned(a.device_raw()),
                  .accumulate = accumulate};
  constexpr int64_t kOfBlock = kWarps * kColumns;
  const double elements = static_cast<double>(m) * static_cast<double>(n);
  const Launch config{.op = "narrow_matmul",
                      .device = out.device(),
                      .grid = dim3(static_cast<unsigned>(p.row_tiles * ((n + kOfBlock - 1) / kOfBlock))),
                      .block = kWarps * kWarp,
                      .barriers = Barriers::some,
                      .flops = 2 * elements * static_cast<double>(k),
                      .bytes = elements * (accumulate ? 2 : 1) * sizeof(float) +
                               static_cast<double>(m) * static_cast<double>(k) * sizeof(float) +
                               static_cast<double>(packed.bytes()) +
                               (scales.defined() ? static_cast<double>(scales.bytes()) : 0)};
  dispatch_stored(packed.dtype(),
                  [&]<class T>() { launch(config, multiply_stored<T>, packed.device_data<T>(), p); });
}

void stored_rows(Tensor& out, const Tensor& weight, const Tensor& scales, const Tensor& ids) {
  if (out.numel() == 0) return;
  const int64_t n = ids.numel(), rows = weight.size(0), width = weight.size(1);
  const Tensor flat = ids.contiguous(), dense_scales = scales.defined() ? scales.contiguous() : scales;
  const IndexCheck check = check_indices(
      out.device(), [rows](int64_t id, int64_t) { return format("stored_rows: row {} of {}", id, rows); });
  const auto stored = static_cast<double>(size_of(weight.dtype()));
  const double scale = scales.defined() ? sizeof(f16) : 0;
  const Launch config{
      .op = "stored_rows",
      .device = out.device(),
      .grid = grid_of(n * width),
      .block = kThreads,
      .bytes = static_cast<double>(n) *
               (sizeof(int64_t) + scale + static_cast<double>(width) * (sizeof(float) + stored))};
  dispatch_stored(weight.dtype(), [&]<class T>() {
    launch(config, widen_rows<T>, out.mutable_device_data<float>(), weight.device_data<T>(),
           scales.defined() ? dense_scales.device_data<f16>() : nullptr, flat.device_data<int64_t>(), n,
           width, out.strides()[0], Places{weight.strides()[0], weight.strides()[1]}, rows, check);
  });
}

}  // namespace tensor::cuda
