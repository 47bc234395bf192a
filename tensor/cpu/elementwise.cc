#include "tensor/cpu/strided.h"
#include "tensor/cpu/subnormal.h"
#include "tensor/cpu/vector_math.h"
#include "tensor/in_place.h"
#include "tensor/kernels.h"

namespace tensor::cpu {
namespace {

Shape input_strides(const Tensor& out, const Tensor& x) { return broadcast_strides(x, out.shape()); }

// out[i] = f(x[i]).
template <class T, class F>
void unary_loop(Tensor& out, const Tensor& x, const StridedLoop<2>& loop, F f) {
  const T* source = x.device_data<T>();
  T* target = out.mutable_device_data<T>();
  loop.for_each([&](const auto& offset, int64_t n, const auto& step) {
    T* o = target + offset[0];
    const T* a = source + offset[1];
    const int64_t so = step[0], sa = step[1];
    if (so == 1 && sa == 1) {
      IMGCAP_VECTORIZE
      for (int64_t i = 0; i < n; ++i) o[i] = f(a[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) o[i * so] = f(a[i * sa]);
    }
  });
}

// out[i] = f(a[i], b[i]); the runs with a constant operand are rows or scalars that broadcast.
template <class To, class From, class F>
void binary_loop(Tensor& out, const Tensor& a, const Tensor& b, const StridedLoop<3>& loop, F f) {
  const From *first = a.device_data<From>(), *second = b.device_data<From>();
  To* target = out.mutable_device_data<To>();
  loop.for_each([&](const auto& offset, int64_t n, const auto& step) {
    To* o = target + offset[0];
    const From *x = first + offset[1], *y = second + offset[2];
    const int64_t so = step[0], sx = step[1], sy = step[2];
    if (so == 1 && sx == 1 && sy == 1) {
      IMGCAP_VECTORIZE
      for (int64_t i = 0; i < n; ++i) o[i] = f(x[i], y[i]);
    } else if (so == 1 && sx == 1 && sy == 0) {
      const From constant = *y;
      IMGCAP_VECTORIZE
      for (int64_t i = 0; i < n; ++i) o[i] = f(x[i], constant);
    } else if (so == 1 && sx == 0 && sy == 1) {
      const From constant = *x;
      IMGCAP_VECTORIZE
      for (int64_t i = 0; i < n; ++i) o[i] = f(constant, y[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) o[i * so] = f(x[i * sx], y[i * sy]);
    }
  });
}

template <class T>
void arithmetic(Tensor& out, const Tensor& a, const Tensor& b, BinaryOp op, const StridedLoop<3>& loop) {
  switch (op) {
    case BinaryOp::add:
      return binary_loop<T, T>(out, a, b, loop, [](T x, T y) { return x + y; });
    case BinaryOp::sub:
      return binary_loop<T, T>(out, a, b, loop, [](T x, T y) { return x - y; });
    case BinaryOp::mul:
      return binary_loop<T, T>(out, a, b, loop, [](T x, T y) { return x * y; });
    default:
      break;
  }
  if constexpr (!std::is_floating_point_v<T>) {
    fail(ErrorKind::dtype, "{}: f32 or f64 is needed, not {}", name_of(op), name_of(a.dtype()));
  } else {
    switch (op) {
      case BinaryOp::div:
        return binary_loop<T, T>(out, a, b, loop, [](T x, T y) { return x / y; });
      case BinaryOp::pow:
        return binary_loop<T, T>(out, a, b, loop, [](T x, T y) { return std::pow(flushed(x), flushed(y)); });
      case BinaryOp::maximum:  // NaN wins
        return binary_loop<T, T>(out, a, b, loop, [](T x, T y) { return x > y || x != x ? x : y; });
      default:
        return binary_loop<T, T>(out, a, b, loop, [](T x, T y) { return x < y || x != x ? x : y; });
    }
  }
}

template <class T>
void compare(Tensor& out, const Tensor& a, const Tensor& b, BinaryOp op, const StridedLoop<3>& loop) {
  switch (op) {
    case BinaryOp::eq:
      return binary_loop<bool, T>(out, a, b, loop, [](T x, T y) { return x == y; });
    case BinaryOp::ne:
      return binary_loop<bool, T>(out, a, b, loop, [](T x, T y) { return x != y; });
    case BinaryOp::lt:
      return binary_loop<bool, T>(out, a, b, loop, [](T x, T y) { return x < y; });
    case BinaryOp::le:
      return binary_loop<bool, T>(out, a, b, loop, [](T x, T y) { return x <= y; });
    case BinaryOp::gt:
      return binary_loop<bool, T>(out, a, b, loop, [](T x, T y) { return x > y; });
    default:
      return binary_loop<bool, T>(out, a, b, loop, [](T x, T y) { return x >= y; });
  }
}

template <class F>
void dispatch_float_or_index(DType dtype, const char* op, F&& f) {
  if (dtype == DType::i64)
    f.template operator()<int64_t>();
  else
    dispatch_float(dtype, op, f);
}

}  // namespace

void unary(Tensor& out, const Tensor& x, UnaryOp op) {
  const Tensor source = input_for(out, x);
  const StridedLoop<2> loop(out.shape(), {out.strides(), input_strides(out, source)});
  dispatch_float(x.dtype(), name_of(op), [&]<class T>() {
    switch (op) {
      case UnaryOp::neg:
        return unary_loop<T>(out, source, loop, [](T v) { return -v; });
      case UnaryOp::abs:
        return unary_loop<T>(out, source, loop, [](T v) { return std::abs(v); });
      case UnaryOp::exp:
        return unary_loop<T>(out, source, loop, [](T v) { return fast_exp(v); });
      case UnaryOp::log:
        return unary_loop<T>(out, source, loop, [](T v) { return exact_log(v); });
      case UnaryOp::sqrt:
        return unary_loop<T>(out, source, loop, [](T v) { return std::sqrt(v); });
      case UnaryOp::rsqrt:
        return unary_loop<T>(out, source, loop, [](T v) { return T(1) / std::sqrt(v); });
      case UnaryOp::reciprocal:
        return unary_loop<T>(out, source, loop, [](T v) { return T(1) / v; });
      case UnaryOp::relu:  // NaN passes
        return unary_loop<T>(out, source, loop, [](T v) { return v < T(0) ? T(0) : v; });
      case UnaryOp::relu6:
        return unary_loop<T>(out, source, loop, [](T v) { return v < T(0) ? T(0) : (v > T(6) ? T(6) : v); });
      case UnaryOp::tanh:
        return unary_loop<T>(out, source, loop, [](T v) { return fast_tanh(v); });
      case UnaryOp::sigmoid:
        return unary_loop<T>(out, source, loop, [](T v) { return fast_sigmoid(v); });
      case UnaryOp::square:
        return unary_loop<T>(out, source, loop, [](T v) { return v * v; });
      case UnaryOp::sign:
        return unary_loop<T>(out, source, loop,
                             [](T v) { return static_cast<T>((v > T(0) ? 1 : 0) - (v < T(0) ? 1 : 0)); });
    }
  });
}

void binary(Tensor& out, const Tensor& a, const Tensor& b, BinaryOp op) {
  const Tensor x = input_for(out, a), y = input_for(out, b);
  const StridedLoop<3> loop(out.shape(), {out.strides(), input_strides(out, x), input_strides(out, y)});
  dispatch_float_or_index(a.dtype(), name_of(op), [&]<class T>() {
    if (is_comparison(op))
      compare<T>(out, x, y, op, loop);
    else
      arithmetic<T>(out, x, y, op, loop);
  });
}

void affine(Tensor& out, const Tensor& x, double scale, double shift) {
  const Tensor source = input_for(out, x);
  const StridedLoop<2> loop(out.shape(), {out.strides(), input_strides(out, source)});
  dispatch_float(x.dtype(), "affine", [&]<class T>() {
    const T a = static_cast<T>(scale), b = static_cast<T>(shift);
    if (b == T(0))  // keeps -0
      unary_loop<T>(out, source, loop, [=](T v) { return a * v; });
    else
      unary_loop<T>(out, source, loop, [=](T v) { return a * v + b; });
  });
}

void clamp(Tensor& out, const Tensor& x, double low, double high) {
  const Tensor source = input_for(out, x);
  const StridedLoop<2> loop(out.shape(), {out.strides(), input_strides(out, source)});
  dispatch_float(x.dtype(), "clamp", [&]<class T>() {
    const T a = static_cast<T>(low), b = static_cast<T>(high);
    unary_loop<T>(out, source, loop, [=](T v) { return v < a ? a : (v > b ? b : v); });
  });
}

void where(Tensor& out, const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Tensor c = input_for(out, condition), x = input_for(out, a), y = input_for(out, b);
  const StridedLoop<4> loop(
      out.shape(), {out.strides(), input_strides(out, c), input_strides(out, x), input_strides(out, y)});
  dispatch_float_or_index(a.dtype(), "where", [&]<class T>() {
    const bool* choose = c.device_data<bool>();
    const T *first = x.device_data<T>(), *second = y.device_data<T>();
    T* target = out.mutable_device_data<T>();
    loop.for_each([&](const auto& offset, int64_t n, const auto& step) {
      T* o = target + offset[0];
      const bool* k = choose + offset[1];
      const T *p = first + offset[2], *q = second + offset[3];
      if (step[0] == 1 && step[1] == 1 && step[2] <= 1 && step[3] <= 1 && step[2] + step[3] > 0) {
        // A choice by bits instead of by branches, with either side a constant or not.
        const auto choose_run = [&](auto first_at, auto second_at) {
          using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
          const auto* flag = reinterpret_cast<const uint8_t*>(k);
          IMGCAP_VECTORIZE
          for (int64_t i = 0; i < n; ++i) {
            const Bits mask = Bits{0} - static_cast<Bits>(flag[i]);
            o[i] = std::bit_cast<T>((std::bit_cast<Bits>(first_at(i)) & mask) |
                                    (std::bit_cast<Bits>(second_at(i)) & ~mask));
          }
        };
        const T u = *p, v = *q;
        if (step[2] == 0)
          choose_run([u](int64_t) { return u; }, [q](int64_t i) { return q[i]; });
        else if (step[3] == 0)
          choose_run([p](int64_t i) { return p[i]; }, [v](int64_t) { return v; });
        else
          choose_run([p](int64_t i) { return p[i]; }, [q](int64_t i) { return q[i]; });
      } else {
        for (int64_t i = 0; i < n; ++i) o[i * step[0]] = k[i * step[1]] ? p[i * step[2]] : q[i * step[3]];
      }
    });
  });
}

void add_inplace(Tensor& out, const Tensor& x, double scale) {
  const Tensor source = input_for(out, x);
  const StridedLoop<3> loop(out.shape(), {out.strides(), out.strides(), source.strides()});
  dispatch_float(out.dtype(), "add_inplace", [&]<class T>() {
    const T a = static_cast<T>(scale);
    binary_loop<T, T>(out, out, source, loop, [a](T sum, T v) { return sum + a * v; });
  });
}

}  // namespace tensor::cpu
