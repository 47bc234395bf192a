// Additive attention (Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473):
//   e_p = v . tanh(key_p + query) + b,  alpha = softmax(e),  context = sum_p alpha_p value_p
// Operands, that is keys, values, the context and the query's gradient, may be of 16 bits where all else is f32. The
// backward pass computes tanh again.
#include <cmath>

#include "tensor/cuda/bad_index.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/softmax.h"
#include "tensor/kernels.h"
#include "tensor/operand_types.h"

namespace tensor::cuda {
namespace {

constexpr int64_t kFew = 32;  // numbers that may be added in f32 before f64 takes over

// What all kernels here read, of sizes m, p, a, d, n as in kernels.h. T is computed in, K is the type of keys and
// values.
template <class T, class K>
struct Inputs {
  const K *keys, *values;
  const T *query, *v;
  const int64_t* image;
  int64_t images, places, width, features, rows, query_row;
  IndexCheck check;

  __device__ const K* key(int64_t image_of, int64_t place) const {
    return keys + (image_of * places + place) * width;
  }
  __device__ T tanh_at(const K* key_of, int64_t row, int64_t j) const {
    return std::tanh(static_cast<T>(key_of[j]) + query[row * query_row + j]);
  }
};

// The threads of a block as warps.
struct WarpOfBlock {
  int64_t number = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
};

// --- forward

// A block has one row: a warp for each place's score, all threads for the softmax, each some columns of the
// context, which it reads in packs of P. Zeros for an image that there is not. Bytes: all tensors once. FLOPs: 4 a
// key's element, 2 a value's and 7 a place.
template <int P, class T, class K, class O>
__global__ void attend(O* context, T* alpha, const T* v_bias, int64_t context_row, Inputs<T, K> in) {
  T* scores = dynamic_shared<T>();
  const WarpOfBlock warp;
  const int64_t row = blockIdx.x, image = in.image[row];
  const int64_t places = is_good(in.check, image, in.images, row) ? in.places : 0;
  const T bias = v_bias != nullptr ? *v_bias : T(0);
  for (int64_t p = warp.number; p < places; p += kThreads / kWarp) {
    const K* key = in.key(image, p);
    T score = 0;
    for (int64_t j = warp.lane; j < in.width; j += kWarp) score += in.v[j] * in.tanh_at(key, row, j);
    score = join_warp(score, Add{});
    if (warp.lane == 0) scores[p] = score + bias;
  }
  __syncthreads();
  const RowSum<T> sum = row_sum(reinterpret_cast<const Pack<T, 1>*>(scores), places);
  for (int64_t p = threadIdx.x; p < in.places; p += kThreads) {
    T weight = 0;
    if (p < places) scores[p] = weight = std::exp(scores[p] - sum.top) / sum.sum;
    alpha[row * in.places + p] = weight;
  }
  __syncthreads();
  const auto* values = reinterpret_cast<const Pack<K, P>*>(in.values);
  const int64_t packs = in.features / P;
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    T sums[P] = {};
    for (int64_t p = 0; p < places; ++p) {
      const Pack<K, P> value = values[(image * in.places + p) * packs + i];
      for (int k = 0; k < P; ++k) sums[k] += scores[p] * static_cast<T>(value.at[k]);
    }
    for (int k = 0; k < P; ++k) context[row * context_row + i * P + k] = static_cast<O>(sums[k]);
  }
}

// --- backward

// What its first two kernels read besides; dalpha may be null.
template <class T>
struct Gradients {
  const T *dcontext, *dalpha, *alpha;
  int64_t dcontext_row;
};

// A block has one row: the gradients of its scores (n, p), of its query, and its part (n, a + 1) f64 of those of v
// and v_bias. Bytes: the inputs and outputs once. FLOPs: 8 a key's element, 2 a value's and 6 a place.
template <class T, class K, class O>
__global__ void score_gradients(T* dscores, O* dquery, double* dv_parts, int64_t dquery_row, Inputs<T, K> in,
                                Gradients<T> g) {
  T* de = dynamic_shared<T>();
  const WarpOfBlock warp;
  const int64_t row = blockIdx.x, image = in.image[row];
  const int64_t places = is_good(in.check, image, in.images, row) ? in.places : 0;
  const T* alpha = g.alpha + row * in.places;
  for (int64_t p = warp.number; p < places; p += kThreads / kWarp) {
    const K* value = in.values + (image * in.places + p) * in.features;
    T dot = 0;
    for (int64_t j = warp.lane; j < in.features; j += kWarp)
      dot += g.dcontext[row * g.dcontext_row + j] * static_cast<T>(value[j]);
    dot = join_warp(dot, Add{});
    if (warp.lane == 0) de[p] = dot + (g.dalpha != nullptr ? g.dalpha[row * in.places + p] : T(0));
  }
  __syncthreads();
  double mean = 0, total = 0;
  for (int64_t p = threadIdx.x; p < places; p += kThreads) mean += static_cast<double>(alpha[p] * de[p]);
  mean = join_row(mean, Add{});
  for (int64_t p = threadIdx.x; p < in.places; p += kThreads) {
    T e = 0;
    if (p < places) de[p] = e = alpha[p] * (de[p] - static_cast<T>(mean));
    dscores[row * in.places + p] = e;
    total += static_cast<double>(e);
  }
  total = join_row(total, Add{});
  if (threadIdx.x == 0) dv_parts[row * (in.width + 1) + in.width] = total;
  __syncthreads();
  for (int64_t j = threadIdx.x; j < in.width; j += kThreads) {
    double dq = 0, dv = 0;
    for (int64_t first = 0; first < places; first += kFew) {
      T dq_few = 0, dv_few = 0;
      for (int64_t p = first; p < min(first + kFew, places); ++p) {
        const T t = in.tanh_at(in.key(image, p), row, j);
        dq_few += de[p] * in.v[j] * (1 - t * t);
        dv_few += de[p] * t;
      }
      dq += static_cast<double>(dq_few);
      dv += static_cast<double>(dv_few);
    }
    dquery[row * dquery_row + j] = static_cast<O>(static_cast<T>(dq));
    dv_parts[row * (in.width + 1) + j] = dv;
  }
}

// f(row) for the rows that ask for an image, in rising order. All threads of the block call it.
template <class F>
__device__ void for_rows_of(const int64_t* image, int64_t rows, int64_t which, F f) {
  for (int64_t first = 0; first < rows; first += kWarp) {
    const int64_t row = first + threadIdx.x % kWarp;
    for (unsigned same = votes(row < rows && image[row] == which); same != 0; same &= same - 1)
      f(first + lowest_bit(same));
  }
}

// A block has one place of one image, to whose key's and value's gradients it adds those of the image's rows, in
// their order, summed in f64; dvalues may be null. Bytes: the inputs, and what is added to twice. FLOPs: for each
// row of an image 6 a key's element, 2 a value's.
template <class T, class K>
__global__ void place_gradients(T* dkeys, T* dvalues, const T* dscores, Inputs<T, K> in, Gradients<T> g) {
  const int64_t block = blockIdx.x, image = block / in.places, p = block % in.places;
  const K* key = in.key(image, p);
  for (int64_t first = 0; first < in.width; first += kThreads) {
    const int64_t j = first + threadIdx.x;
    const bool mine = j < in.width;
    double sum = 0;
    for_rows_of(in.image, in.rows, image, [&](int64_t row) {
      if (!mine) return;
      const T t = in.tanh_at(key, row, j);
      sum += static_cast<double>(dscores[row * in.places + p] * in.v[j] * (1 - t * t));
    });
    if (mine) {
      T& d = dkeys[block * in.width + j];
      d = static_cast<T>(static_cast<double>(d) + sum);
    }
  }
  for (int64_t first = 0; dvalues != nullptr && first < in.features; first += kThreads) {
    const int64_t j = first + threadIdx.x;
    const bool mine = j < in.features;
    double sum = 0;
    for_rows_of(in.image, in.rows, image, [&](int64_t row) {
      if (mine)
        sum += static_cast<double>(g.alpha[row * in.places + p] * g.dcontext[row * g.dcontext_row + j]);
    });
    if (mine) {
      T& d = dvalues[block * in.features + j];
      d = static_cast<T>(static_cast<double>(d) + sum);
    }
  }
}

// sums (a + 1) f64 are added to dv (a) and dv_bias, which may be null. Bytes: the sums that are used, and the rest
// twice.
template <class T>
__global__ void add_sums(T* dv, T* dv_bias, const double* sums, int64_t width) {
  const int64_t j = thread_index();
  T* d = j < width ? dv + j : dv_bias;
  if (j <= width && d != nullptr) *d = static_cast<T>(static_cast<double>(*d) + sums[j]);
}

// --- host

Tensor dense_rows(const Tensor& x) { return x.size(-1) <= 1 || x.strides().at(-1) == 1 ? x : x.contiguous(); }

// Lays the inputs out row by row. Rows of queries and gradients may lie apart, as in a slice of a larger matrix.
template <class Arguments>
void prepare(Arguments& a) {
  if (a.keys.dtype() != a.values.dtype())
    a.keys = tensor::internal::widen(a.keys), a.values = tensor::internal::widen(a.values);
  for (Tensor* t : {&a.keys, &a.values, &a.image, &a.v}) *t = t->contiguous();
  a.query = dense_rows(a.query);
}

template <class T, class K, class Arguments>
Inputs<T, K> inputs_of(const char* op, const Arguments& a) {
  const int64_t images = a.keys.size(0);
  const IndexCheck check = check_indices(a.query.device(), [op, images](int64_t image, int64_t row) {
    return format("{}: row {} asks for image {} of {}", op, row, image, images);
  });
  return {a.keys.template device_data<K>(),
          a.values.template device_data<K>(),
          a.query.template device_data<T>(),
          a.v.template device_data<T>(),
          a.image.template device_data<int64_t>(),
          images,
          a.keys.size(1),
          a.keys.size(2),
          a.values.size(2),
          a.query.size(0),
          a.query.strides()[0],
          check};
}

// f.operator()<O>() with the type of what is written as an operand: T's, or that of keys and values.
template <class T, class K, class F>
void dispatch_written(const Tensor& written, const F& f) {
  if constexpr (!std::is_same_v<T, K>)
    if (is_half(written.dtype())) return f.template operator()<K>();
  f.template operator()<T>();
}

// What a kernel writes in place of an operand: the tensor, or, where its type is of 16 bits and not that of keys and values,
// one of f32, from which finish() copies.
struct Written {
  Tensor target, room;

  Written(const Tensor& tensor, DType operands)
      : target(tensor),
        room(is_half(tensor.dtype()) && tensor.dtype() != operands
                 ? Tensor::empty(tensor.shape(), DType::f32, tensor.device())
                 : tensor) {}
  void finish() {
    if (!room.shares_storage(target)) target.copy_(room);
  }
};

// Of blocks with barriers and `shared` bytes of shared memory.
Launch launch_of(const char* op, Device device, int64_t blocks, int64_t shared, double flops, int64_t bytes) {
  return {.op = op,
          .device = device,
          .grid = dim3(static_cast<unsigned>(blocks)),
          .block = kThreads,
          .barriers = Barriers::some,
          .dynamic_shared = shared,
          .flops = flops,
          .bytes = static_cast<double>(bytes)};
}

// Bytes for a number of each place. Errors: argument (more than each device gives a block).
template <class T>
int64_t shared_for(const char* op, int64_t places) {
  constexpr int64_t kMost = 47 << 10;  // of 48 KiB: the rest is the kernels' own
  const int64_t bytes = places * static_cast<int64_t>(sizeof(T));
  check(bytes <= kMost, ErrorKind::argument, "{}: {} places, and a device's kernel takes {}", op, places,
        kMost / static_cast<int64_t>(sizeof(T)));
  return bytes;
}

// FLOPs where each row meets each place: so many for a key's element, a value's element and a place.
template <class T, class K>
double flops_of(const Inputs<T, K>& in, double key, double value, double place) {
  return static_cast<double>(in.rows * in.places) *
         (key * static_cast<double>(in.width) + value * static_cast<double>(in.features) + place);
}

template <class T, class K>
void attend_on_device(AdditiveAttention& a) {
  const auto in = inputs_of<T, K>("additive_attention", a);
  const T* v_bias = a.v_bias.defined() ? a.v_bias.device_data<T>() : nullptr;
  int64_t bytes = 0;
  for (const Tensor* t : {&a.context, &a.alpha, &a.keys, &a.values, &a.query, &a.image, &a.v})
    bytes += t->bytes();
  if (v_bias != nullptr) bytes += a.v_bias.bytes();
  const Launch config =
      launch_of("additive_attention", a.context.device(), in.rows,
                shared_for<T>("additive_attention", in.places), flops_of(in, 4, 2, 7), bytes);
  Written written(a.context, a.keys.dtype());
  Tensor& out = written.room;
  T* alpha = a.alpha.mutable_device_data<T>();
  dispatch_written<T, K>(out, [&]<class O>() {
    O* context = out.mutable_device_data<O>();
    if (in.features % kPack<K> == 0 && aligned(in.values))
      launch(config, attend<kPack<K>, T, K, O>, context, alpha, v_bias, out.strides()[0], in);
    else
      launch(config, attend<1, T, K, O>, context, alpha, v_bias, out.strides()[0], in);
  });
  written.finish();
}

template <class T, class K>
void attend_backward_on_device(AdditiveAttentionBackward& a) {
  const char* op = "additive_attention_backward";
  const auto in = inputs_of<T, K>(op, a);
  const Device device = a.dquery.device();
  const Gradients<T> g{a.dcontext.device_data<T>(), a.dalpha.defined() ? a.dalpha.device_data<T>() : nullptr,
                       a.alpha.device_data<T>(), a.dcontext.strides()[0]};
  const int64_t of_v = in.width + 1;  // numbers: the gradients of v and v_bias
  Tensor scores = Tensor::empty(a.alpha.shape(), a.alpha.dtype(), device);
  Tensor parts = Tensor::empty(Shape{in.rows, of_v}, DType::f64, device);
  Tensor sums = Tensor::empty(Shape{1, of_v}, DType::f64, device);
  T* dscores = scores.mutable_device_data<T>();
  Written written(a.dquery, a.keys.dtype());
  Tensor& dquery = written.room;
  const int64_t read = a.keys.bytes() + a.query.bytes() + a.v.bytes() + a.image.bytes() + scores.bytes();
  const Launch config =
      launch_of(op, device, in.rows, shared_for<T>(op, in.places), flops_of(in, 8, 2, 6),
                read + a.values.bytes() + a.dcontext.bytes() + a.alpha.bytes() +
                    (g.dalpha != nullptr ? a.dalpha.bytes() : 0) + dquery.bytes() + parts.bytes());
  dispatch_written<T, K>(dquery, [&]<class O>() {
    launch(config, score_gradients<T, K, O>, dscores, dquery.mutable_device_data<O>(),
           parts.mutable_device_data<double>(), dquery.strides()[0], in, g);
  });
  written.finish();
  T* dvalues = a.dvalues.defined() ? a.dvalues.mutable_device_data<T>() : nullptr;
  const int64_t of_values =
      dvalues != nullptr ? a.alpha.bytes() + a.dcontext.bytes() + 2 * a.dvalues.bytes() : 0;
  launch(launch_of(op, device, in.images * in.places, 0, flops_of(in, 6, dvalues != nullptr ? 2 : 0, 0),
                   read + 2 * a.dkeys.bytes() + of_values),
         place_gradients<T, K>, a.dkeys.mutable_device_data<T>(), dvalues, dscores, in, g);
  reduce(sums, parts, {0}, ReduceOp::sum);
  T* dv_bias = a.dv_bias.defined() ? a.dv_bias.mutable_device_data<T>() : nullptr;
  const auto added = static_cast<double>(in.width + (dv_bias != nullptr ? 1 : 0));
  launch({.op = op,
          .device = device,
          .grid = grid_of(in.width + 1),
          .block = kThreads,
          .flops = added,
          .bytes = added * (sizeof(double) + 2.0 * sizeof(T))},
         add_sums<T>, a.dv.mutable_device_data<T>(), dv_bias, sums.device_data<double>(), in.width);
}

}  // namespace

void additive_attention(AdditiveAttention a) {
  if (a.query.size(0) == 0) return;
  prepare(a);
  dispatch_operands(a.alpha.dtype(), a.keys.dtype(), "additive_attention",
                    [&]<class T, class K>() { attend_on_device<T, K>(a); });
}

void additive_attention_backward(AdditiveAttentionBackward a) {
  if (a.query.size(0) == 0) return;
  prepare(a);
  a.dcontext = dense_rows(a.dcontext);
  if (a.dalpha.defined()) a.dalpha = a.dalpha.contiguous();
  dispatch_operands(a.alpha.dtype(), a.keys.dtype(), "additive_attention_backward",
                    [&]<class T, class K>() { attend_backward_on_device<T, K>(a); });
}

}  // namespace tensor::cuda
