#include <algorithm>
#include <cmath>
#include <utility>

#include "tensor/cuda/device.h"
#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/strided.h"
#include "tensor/in_place.h"
#include "tensor/kernels.h"

// 16-bit floats are computed in f32 and rounded once.
namespace tensor::cuda {
namespace {

// P elements of an operand: a pack of neighbours or, where the step is 0, one of them P times.
template <int P, class T>
__device__ Pack<T, P> read(const T* x, int64_t step) {
  Pack<T, P> pack;
  if (P > 1 && step == 0)
    for (T& element : pack.at) element = *x;
  else
    pack = *reinterpret_cast<const Pack<T, P>*>(x);
  return pack;
}

template <int P, class F, class To, class... From>
__device__ void write(F f, To* out, const Pack<From, P>&... x) {
  Pack<To, P> y;
  for (int k = 0; k < P; ++k) y.at[k] = static_cast<To>(f(static_cast<Computed<From>>(x.at[k])...));
  *reinterpret_cast<Pack<To, P>*>(out) = y;
}

// The piece of this thread, given the operands' numbers.
template <int P, int N, class F, class To, class... From, size_t... I>
__device__ void map_piece(std::index_sequence<I...>, F f, const Strided<N>& walk, To* out, const From*... x) {
  const int64_t first = thread_index() * P, left = walk.numel - first;
  if (left <= 0) return;
  const Offsets<N> offset = walk.offsets(first);
  const int inner = walk.rank - 1;
  if (left >= P)
    write<P>(f, out + offset.at[0], read<P>(x + offset.at[1 + I], walk.strides[1 + I][inner])...);
  else
    for (int64_t k = 0; k < left; ++k)
      write<1>(f, out + offset.at[0] + k,
               read<1>(x + offset.at[1 + I] + k * walk.strides[1 + I][inner], 1)...);
}

// out[i] = f(x[i]...), P elements a thread. With P > 1 those are neighbours in out, and in each x neighbours
// or the same one. Bytes: out and each x, dimensions along which it broadcasts left out. FLOPs: 1 an element.
template <int P, int N, class F, class To, class... From>
__global__ void map(F f, Strided<N> walk, To* out, const From*... x) {
  map_piece<P>(std::index_sequence_for<From...>{}, f, walk, out, x...);
}

// Whether operand k can be read or written in packs of P.
template <int P, int N, class T>
bool in_packs(const Strided<N>& walk, int k, const T* data) {
  const int inner = walk.rank - 1;
  const int64_t* strides = walk.strides[k];
  if (strides[inner] == 0) return k > 0;
  bool fits = strides[inner] == 1 && aligned(data, P * sizeof(T));
  for (int d = 0; d < inner; ++d) fits = fits && strides[d] % P == 0;
  return fits;
}

// out = f(x...) with the elements To and From; in packs by `fast`, which gives the same.
template <class To, class... From, class Fast, class F, class... X>
void launch_map(const char* op, Fast fast, F f, Tensor& out, const X&... x) {
  constexpr int N = 1 + sizeof...(From), P = static_cast<int>(16 / std::max({sizeof(To), sizeof(From)...}));
  const Strided<N> walk(out.shape(), {out.strides(), broadcast_strides(x, out.shape())...});
  if (walk.numel == 0) return;
  To* target = out.mutable_device_data<To>();
  const int inner = walk.rank - 1;
  bool packs = (inner == 0 || walk.sizes[inner] % P == 0) && in_packs<P>(walk, 0, target);
  double bytes = walk.bytes(0, sizeof(To));
  int k = 0;
  const auto look_at = [&](const auto* data) {
    ++k;
    packs = packs && in_packs<P>(walk, k, data);
    bytes += walk.bytes(k, sizeof(*data));
  };
  (look_at(x.template device_data<From>()), ...);
  const Launch config{.op = op,
                      .device = out.device(),
                      .grid = grid_of(packs ? (walk.numel + P - 1) / P : walk.numel),
                      .block = kThreads,
                      .flops = static_cast<double>(walk.numel),
                      .bytes = bytes};
  if (packs)
    launch(config, map<P, N, Fast, To, From...>, fast, walk, target, x.template device_data<From>()...);
  else
    launch(config, map<1, N, F, To, From...>, f, walk, target, x.template device_data<From>()...);
}

struct Unary {
  UnaryOp op;

  template <class T>
  __device__ T operator()(T v) const {
    switch (op) {
      case UnaryOp::neg:
        return -v;
      case UnaryOp::abs:
        return std::abs(v);
      case UnaryOp::exp:
        return std::exp(v);
      case UnaryOp::log:
        return std::log(v);
      case UnaryOp::sqrt:
        return std::sqrt(v);
      case UnaryOp::rsqrt:
        return T(1) / std::sqrt(v);
      case UnaryOp::reciprocal:
        return T(1) / v;
      case UnaryOp::relu:  // NaN passes
        return v < T(0) ? T(0) : v;
      case UnaryOp::relu6:
        return v < T(0) ? T(0) : (v > T(6) ? T(6) : v);
      case UnaryOp::tanh:
        return std::tanh(v);
      case UnaryOp::sigmoid:
        return T(1) / (T(1) + std::exp(-v));
      case UnaryOp::square:
        return v * v;
      default:  // sign
        return static_cast<T>((v > T(0) ? 1 : 0) - (v < T(0) ? 1 : 0));
    }
  }
};

struct Arithmetic {
  BinaryOp op;

  template <class T>
  __device__ T operator()(T x, T y) const {
    if (op == BinaryOp::add) return x + y;
    if (op == BinaryOp::sub) return x - y;
    if constexpr (std::is_floating_point_v<T>) {
      if (op == BinaryOp::div) return x / y;
      if (op == BinaryOp::pow) return std::pow(x, y);
      if (op == BinaryOp::maximum) return x > y || x != x ? x : y;  // NaN wins
      if (op == BinaryOp::minimum) return x < y || x != x ? x : y;
    }
    return x * y;
  }
};

struct Comparison {
  BinaryOp op;

  template <class T>
  __device__ bool operator()(T x, T y) const {
    switch (op) {
      case BinaryOp::eq:
        return x == y;
      case BinaryOp::ne:
        return x != y;
      case BinaryOp::lt:
        return x < y;
      case BinaryOp::le:
        return x <= y;
      case BinaryOp::gt:
        return x > y;
      default:
        return x >= y;
    }
  }
};

// F with an op that the compiler knows.
template <class F, auto op>
struct Fixed {
  template <class... T>
  __device__ auto operator()(T... x) const {
    return F{op}(x...);
  }
};

template <class C>
struct Scale {
  C factor;
  __device__ C operator()(C v) const { return factor * v; }
};

template <class C>
struct Affine {
  C scale, shift;
  __device__ C operator()(C v) const { return scale * v + shift; }
};

template <class C>
struct Clamp {
  C low, high;
  __device__ C operator()(C v) const { return v < low ? low : (v > high ? high : v); }
};

struct Where {
  template <class C>
  __device__ C operator()(bool condition, C a, C b) const {
    return condition ? a : b;
  }
};

template <class C>
struct AddScaled {
  C scale;
  __device__ C operator()(C sum, C v) const { return sum + scale * v; }
};

// Calls f.operator()<op>() with one of the ops of an enum, of which `last` is the last.
template <auto last, class F, size_t... I>
void dispatch_op(decltype(last) op, std::index_sequence<I...>, F&& f) {
  const auto call_if = [&]<size_t i>() {
    if (static_cast<size_t>(op) == i) f.template operator()<static_cast<decltype(last)>(i)>();
  };
  (call_if.template operator()<I>(), ...);
}
template <auto last, class F>
void dispatch_op(decltype(last) op, F&& f) {
  dispatch_op<last>(op, std::make_index_sequence<static_cast<size_t>(last) + 1>{}, f);
}

template <class F>
void dispatch_floating_or_index(DType dtype, const char* op, F&& f) {
  if (dtype == DType::i64)
    f.template operator()<int64_t>();
  else
    dispatch_floating(dtype, op, f);
}

}  // namespace

void unary(Tensor& out, const Tensor& x, UnaryOp op) {
  const Tensor source = input_for(out, x);
  dispatch_floating(x.dtype(), name_of(op), [&]<class T>() {
    dispatch_op<UnaryOp::sign>(op, [&]<UnaryOp which>() {
      launch_map<T, T>("unary", Fixed<Unary, which>{}, Unary{op}, out, source);
    });
  });
}

void binary(Tensor& out, const Tensor& a, const Tensor& b, BinaryOp op) {
  const Tensor x = input_for(out, a), y = input_for(out, b);
  dispatch_floating_or_index(a.dtype(), name_of(op), [&]<class T>() {
    if (is_comparison(op)) return launch_map<bool, T, T>("binary", Comparison{op}, Comparison{op}, out, x, y);
    dispatch_op<BinaryOp::minimum>(op, [&]<BinaryOp which>() {
      if constexpr (std::is_same_v<T, int64_t> && which > BinaryOp::mul)
        fail(ErrorKind::dtype, "{}: f32 or f64 is needed, not {}", name_of(op), name_of(a.dtype()));
      else
        launch_map<T, T, T>("binary", Fixed<Arithmetic, which>{}, Arithmetic{op}, out, x, y);
    });
  });
}

void affine(Tensor& out, const Tensor& x, double scale, double shift) {
  const Tensor source = input_for(out, x);
  dispatch_floating(x.dtype(), "affine", [&]<class T>() {
    using C = Computed<T>;
    const C a = static_cast<C>(scale), b = static_cast<C>(shift);
    if (b == C(0))  // keeps -0
      launch_map<T, T>("affine", Scale<C>{a}, Scale<C>{a}, out, source);
    else
      launch_map<T, T>("affine", Affine<C>{a, b}, Affine<C>{a, b}, out, source);
  });
}

void clamp(Tensor& out, const Tensor& x, double low, double high) {
  const Tensor source = input_for(out, x);
  dispatch_floating(x.dtype(), "clamp", [&]<class T>() {
    using C = Computed<T>;
    launch_map<T, T>("clamp", Clamp<C>{static_cast<C>(low), static_cast<C>(high)},
                     Clamp<C>{static_cast<C>(low), static_cast<C>(high)}, out, source);
  });
}

void where(Tensor& out, const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Tensor c = input_for(out, condition), x = input_for(out, a), y = input_for(out, b);
  dispatch_floating_or_index(a.dtype(), "where", [&]<class T>() {
    launch_map<T, bool, T, T>("where", Where{}, Where{}, out, c, x, y);
  });
}

void add_inplace(Tensor& out, const Tensor& x, double scale) {
  const Tensor source = input_for(out, x);
  dispatch_floating(out.dtype(), "add_inplace", [&]<class T>() {
    using C = Computed<T>;
    launch_map<T, T, T>("add_inplace", AddScaled<C>{static_cast<C>(scale)},
                        AddScaled<C>{static_cast<C>(scale)}, out, out, source);
  });
}

}  // namespace tensor::cuda
