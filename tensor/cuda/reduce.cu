#include <algorithm>
#include <limits>
#include <vector>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/strided.h"
#include "tensor/cuda/tensor_list.h"
#include "tensor/kernels.h"

// Sums are made in f64, the rest of what has 16 bits in f32; each result is rounded as an f32 first, as on the CPU. What is
// reduced is cut into tiles whose bounds depend on the shape alone, and their results are reduced in turn: the same bits each
// time.
namespace tensor::cuda {
namespace {

constexpr int64_t kPerThread = 64;  // elements of a tile that a thread takes

template <class T>
struct Sum {
  using Total = double;
  static constexpr double start = 0;
  __device__ double operator()(double a, double b) const { return a + b; }
  __device__ static T result(double total, double divisor) {
    return static_cast<T>(static_cast<Computed<T>>(total / divisor));
  }
};
template <class T>
struct Max {  // NaN wins
  using Total = Computed<T>;
  static constexpr Total start = -kInfinity<Total>;
  __device__ Total operator()(Total a, Total b) const { return b > a || b != b ? b : a; }
  __device__ static T result(Total total, double) { return static_cast<T>(total); }
};
template <class T>
struct Min {
  using Total = Computed<T>;
  static constexpr Total start = kInfinity<Total>;
  __device__ Total operator()(Total a, Total b) const { return b < a || b != b ? b : a; }
  __device__ static T result(Total total, double) { return static_cast<T>(total); }
};

// x seen as kept dimensions and reduced ones, and how the threads of a block divide the work.
struct Plan {
  Strided<1> kept, reduced;
  bool by_columns;  // neighbouring threads take neighbouring outputs, not neighbouring elements of one
  int width = 1;    // threads for a tile of one output, a power of two
  int64_t tile, tiles;

  Plan(const Strided<1>& kept_dims, const Strided<1>& reduced_dims) : kept(kept_dims), reduced(reduced_dims) {
    const int row = kept.rank - 1, inner = reduced.rank - 1;
    by_columns = kept.strides[0][row] == 1 && kept.sizes[row] >= 8 && reduced.strides[0][inner] != 1;
    const int64_t most = by_columns ? kThreads / kWarp : kThreads;
    while (width < most && 4 * width < reduced.numel) width *= 2;
    tile = width * kPerThread;
    tiles = (reduced.numel + tile - 1) / tile;
  }

  int outputs_per_block() const { return static_cast<int>(kThreads) / width; }
};

Plan plan_of(const Tensor& x, unsigned mask) {
  Shape kept, kept_strides, reduced, reduced_strides;
  for (int d = 0; d < x.rank(); ++d) {
    const bool is_reduced = (mask >> d & 1u) != 0;
    (is_reduced ? reduced : kept).push_back(x.shape()[d]);
    (is_reduced ? reduced_strides : kept_strides).push_back(x.strides()[d]);
  }
  return Plan(Strided<1>(kept, {kept_strides}), Strided<1>(reduced, {reduced_strides}));
}

// The results of many tiles, tile by tile, seen as what is to be reduced.
Plan plan_of_tiles(int64_t tiles, int64_t outputs) {
  return Plan(Strided<1>({outputs}, {Shape{1}}), Strided<1>({tiles}, {Shape{outputs}}));
}

// out[tile][o]: a block has one tile of some outputs; `width` threads a tile, which read packs of P. Then a
// tree over those threads. Bytes: x and out. FLOPs: 1 an element.
template <int P, class Op, class Out, class T>
__global__ void reduce_tiles(Out* out, const T* x, Plan plan, double divisor) {
  using Total = typename Op::Total;
  IMGCAP_SHARED(Total, totals, [kThreads]);
  const int me = static_cast<int>(threadIdx.x), outputs = static_cast<int>(kThreads) / plan.width;
  const int lane = plan.by_columns ? me / outputs : me % plan.width;
  const int next = plan.by_columns ? outputs : 1;  // from a thread to the next one of its output
  const int64_t block = blockIdx.x, at = block % plan.tiles;
  const int64_t o = block / plan.tiles * outputs + (plan.by_columns ? me % outputs : me / plan.width);
  Total total = Op::start;
  if (o < plan.kept.numel) {
    const T* row = x + plan.kept.offsets(o).at[0];
    const int64_t end = min(plan.reduced.numel, (at + 1) * plan.tile);
    for (int64_t i = at * plan.tile + lane * P; i < end; i += plan.width * P) {
      const auto pack = *reinterpret_cast<const Pack<T, P>*>(row + plan.reduced.offsets(i).at[0]);
      for (int k = 0; k < P; ++k)
        total = Op{}(total, static_cast<Total>(static_cast<Computed<T>>(pack.at[k])));
    }
  }
  totals[me] = total;
  for (int half = plan.width / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) totals[me] = Op{}(totals[me], totals[me + half * next]);
  }
  if (lane == 0 && o < plan.kept.numel) out[at * plan.kept.numel + o] = Op::result(totals[me], divisor);
}

// Whether each row of what is reduced can be read in packs.
template <class T>
bool in_packs(const Plan& plan, const T* x) {
  const Strided<1>&kept = plan.kept, &reduced = plan.reduced;
  bool fits = reduced.rank == 1 && reduced.strides[0][0] == 1 && reduced.numel % kPack<T> == 0 && aligned(x);
  for (int d = 0; d < kept.rank; ++d) fits = fits && kept.strides[0][d] % kPack<T> == 0;
  return fits;
}

template <class Op, class Out, class T>
void launch_tiles(Out* out, const T* x, const Plan& plan, double divisor, const char* op, Device device) {
  const int64_t outputs = plan.kept.numel, per_block = plan.outputs_per_block();
  const double read = plan.kept.bytes(0, 1) * plan.reduced.bytes(0, sizeof(T));
  const Launch config{
      .op = op,
      .device = device,
      .grid = dim3(static_cast<unsigned>((outputs + per_block - 1) / per_block * plan.tiles)),
      .block = kThreads,
      .barriers = Barriers::some,
      .flops = static_cast<double>(outputs) * static_cast<double>(plan.reduced.numel),
      .bytes = read + static_cast<double>(outputs * plan.tiles) * static_cast<double>(sizeof(Out))};
  if (in_packs(plan, x))
    launch(config, reduce_tiles<kPack<T>, Op, Out, T>, out, x, plan, divisor);
  else
    launch(config, reduce_tiles<1, Op, Out, T>, out, x, plan, divisor);
}

// One launch, or with many tiles one more for their results, and so on.
template <template <class> class Op, class Out, class T>
void reduce_plan(Out* out, const T* x, const Plan& plan, double divisor, const char* op, Device device) {
  if (plan.tiles == 1) return launch_tiles<Op<Out>>(out, x, plan, divisor, op, device);
  using Total = typename Op<Out>::Total;
  Tensor partial = Tensor::empty({plan.tiles, plan.kept.numel}, dtype_of<Total>::value, device);
  auto* totals = partial.mutable_device_data<Total>();
  launch_tiles<Op<Total>>(totals, x, plan, 1.0, op, device);
  const Plan rest = plan_of_tiles(plan.tiles, plan.kept.numel);
  reduce_plan<Op>(out, static_cast<const Total*>(totals), rest, divisor, op, device);
}

// totals[tile] = the sum of squares of a tile: a block each. Bytes: the tensors and totals. FLOPs: 2 an element.
template <class T>
__global__ void square_tiles(double* totals, TensorList<1> list) {
  constexpr int P = kPack<T>;
  const Tile tile = list.tile();
  const int64_t n = tile.n;
  const auto* x = list.start<const T>(0, tile);
  const int64_t packs = aligned(x) ? n / P : 0;
  double sum = 0;
  const auto add = [&sum](T v) { sum += static_cast<double>(v) * static_cast<double>(v); };
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    const auto pack = reinterpret_cast<const Pack<T, P>*>(x)[i];
    for (int j = 0; j < P; ++j) add(pack.at[j]);
  }
  for (int64_t i = packs * P + threadIdx.x; i < n; i += kThreads) add(x[i]);
  sum = join_row(sum, Sum<double>{});
  if (threadIdx.x == 0) totals[blockIdx.x] = sum;
}

void launch_squares(double* totals, const TensorList<1>& list, DType dtype, Device device) {
  const Launch config{.op = "sum_squares",
                      .device = device,
                      .grid = dim3(static_cast<unsigned>(list.tiles())),
                      .block = kThreads,
                      .barriers = Barriers::some,
                      .flops = 2 * list.elements(),
                      .bytes = list.elements() * static_cast<double>(size_of(dtype)) +
                               8.0 * static_cast<double>(list.tiles())};
  dispatch_float(dtype, "sum_squares", [&]<class T>() { launch(config, square_tiles<T>, totals, list); });
}

}  // namespace

void reduce(Tensor& out, const Tensor& x, const std::vector<int>& dims, ReduceOp op) {
  unsigned mask = 0;
  for (const int dim : dims) mask |= 1u << normalize_dim(dim, x.rank(), "reduce");
  const Plan plan = plan_of(x, mask);
  if (plan.kept.numel == 0) return;
  if (plan.reduced.numel == 0) {
    fill(out, op == ReduceOp::sum ? 0.0 : std::numeric_limits<double>::quiet_NaN());
    return;
  }
  dispatch_floating(x.dtype(), "reduce", [&]<class T>() {
    const T* source = x.device_data<T>();
    T* target = out.mutable_device_data<T>();
    const Device device = out.device();
    switch (op) {
      case ReduceOp::sum:
        return reduce_plan<Sum>(target, source, plan, 1.0, "reduce", device);
      case ReduceOp::mean:
        return reduce_plan<Sum>(target, source, plan, static_cast<double>(plan.reduced.numel), "reduce",
                                device);
      case ReduceOp::max:
        return reduce_plan<Max>(target, source, plan, 1.0, "reduce", device);
      case ReduceOp::min:
        return reduce_plan<Min>(target, source, plan, 1.0, "reduce", device);
    }
  });
}

void sum_squares(Tensor& out, const std::vector<Tensor>& tensors) {
  std::vector<Tensor> sources;
  int64_t tiles = 0;
  for (const Tensor& tensor : tensors) {
    sources.push_back(tensor.contiguous());
    tiles += tiles_of(tensor);
  }
  if (tiles == 0) return fill(out, 0);
  const Device device = out.device();
  Tensor partial = Tensor::empty({tiles}, DType::f64, device);
  auto* totals = partial.mutable_device_data<double>();
  for_each_list<1>(
      sources, [&](size_t i) { return read_only(sources[i]); },
      [&](const TensorList<1>& list, DType dtype, size_t) {
        launch_squares(totals, list, dtype, device);
        totals += list.tiles();
      });
  reduce_plan<Sum>(out.mutable_device_data<double>(), partial.device_data<double>(), plan_of_tiles(tiles, 1),
                   1.0, "sum_squares", device);
}

}  // namespace tensor::cuda
