#include <cstdint>

#include "tensor/cuda/device.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/rows.h"
#include "tensor/kernels.h"

// The CPU's argmax and topk are in tensor/cpu/reduce.cc.
namespace tensor::cuda {
namespace {

// An element of a row and its place. They are ordered by falling value, NaN first, and among equals by place.
template <class T>
struct Candidate {
  T value;
  int64_t index;

  __device__ bool operator<(const Candidate& other) const {
    if (greater(value, other.value)) return true;
    return !greater(other.value, value) && index < other.index;
  }
  __device__ Candidate from_lane(int mask) const {
    return {cuda::from_lane(value, mask), cuda::from_lane(index, mask)};
  }

 private:
  __device__ static bool greater(T a, T b) { return a > b || (a != a && b == b); }
};

struct First {
  template <class T>
  __device__ Candidate<T> operator()(const Candidate<T>& a, const Candidate<T>& b) const {
    return b < a ? b : a;
  }
};

template <class T>
__device__ Candidate<T> before_all() {
  return {kNaN<T>, -1};
}
template <class T>
__device__ Candidate<T> after_all() {
  return {-kInfinity<T>, INT64_MAX};
}

// The first one behind `last` among those of the row that are this thread's.
template <int P, class T>
__device__ Candidate<T> next_of_thread(const T* row, int64_t length, const Candidate<T>& last) {
  Candidate<T> best = after_all<T>();
  for (int64_t i = threadIdx.x * P; i < length; i += blockDim.x * P) {
    const auto pack = *reinterpret_cast<const Pack<T, P>*>(row + i);
    for (int k = 0; k < P; ++k) {
      const Candidate<T> here{pack.at[k], i + k};
      if (last < here && here < best) best = here;
    }
  }
  return best;
}

// The first k of each row, one after the other: each thread holds the first of its own that is not taken yet,
// and looks for another one when it was taken. `values` may be null. Bytes: x once and what is written.
// FLOPs: 1 an element.
template <int P, class T>
__global__ void top_of_rows(T* values, int64_t* indices, const T* x, int64_t rows, int64_t length,
                            int64_t k) {
  const int64_t row = row_index(), mine = row < rows ? length : 0;
  const T* source = x + row * length;
  Candidate<T> next = next_of_thread<P>(source, mine, before_all<T>());
  for (int64_t i = 0; i < k; ++i) {
    const Candidate<T> best = join_row(next, First{});
    if (threadIdx.x == 0 && row < rows) {
      if (values != nullptr) values[row * k + i] = best.value;
      indices[row * k + i] = best.index;
    }
    if (best.index == next.index && i + 1 < k) next = next_of_thread<P>(source, mine, best);
  }
}

template <class T>
void launch_top(T* values, int64_t* indices, const Tensor& x, int64_t k, const char* op) {
  const int64_t length = x.shape().back(), rows = x.numel() / length;
  const T* source = x.device_data<T>();
  const RowLaunch shape(rows, length);
  const auto written = static_cast<double>((values != nullptr ? sizeof(T) : 0) + sizeof(int64_t));
  const Launch config{.op = op,
                      .device = x.device(),
                      .grid = shape.grid,
                      .block = shape.block,
                      .barriers = Barriers::some,
                      .flops = static_cast<double>(x.numel()),
                      .bytes = static_cast<double>(x.bytes()) + static_cast<double>(rows * k) * written};
  if (in_packs<T>(length, {source}))
    launch(config, top_of_rows<kPack<T>, T>, values, indices, source, rows, length, k);
  else
    launch(config, top_of_rows<1, T>, values, indices, source, rows, length, k);
}

}  // namespace

void argmax(Tensor& out, const Tensor& x) {
  if (out.numel() == 0) return;
  dispatch_float(x.dtype(), "argmax", [&]<class T>() {
    launch_top<T>(nullptr, out.mutable_device_data<int64_t>(), x.contiguous(), 1, "argmax");
  });
}

void topk(Tensor& values, Tensor& indices, const Tensor& x, int64_t k) {
  if (values.numel() == 0) return;
  dispatch_float(x.dtype(), "topk", [&]<class T>() {
    launch_top(values.mutable_device_data<T>(), indices.mutable_device_data<int64_t>(), x.contiguous(), k,
               "topk");
  });
}

}  // namespace tensor::cuda
