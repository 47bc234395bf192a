// Additive attention (Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473):
//   e_p = v . tanh(key_p + query) + b,  alpha = softmax(e),  context = sum_p alpha_p value_p
#include <algorithm>
#include <vector>

#include "tensor/cpu/softmax.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

struct Sizes {
  int64_t images, places, width, features, rows;  // m, p, a, d, n of kernels.h
};

// Checks that every row asks for an image that there is.
Sizes checked_sizes(const char* op, const Tensor& keys, const Tensor& values, const Tensor& query,
                    const Tensor& image) {
  const Sizes s{keys.size(0), keys.size(1), keys.size(2), values.size(2), query.size(0)};
  const int64_t* ids = image.device_data<int64_t>();
  for (int64_t r = 0; r < s.rows; ++r)
    check(ids[r] >= 0 && ids[r] < s.images, ErrorKind::index, "{}: row {} asks for image {} of {}", op, r,
          ids[r], s.images);
  return s;
}

// Rows may lie apart, as in a slice of a larger matrix; their columns side by side.
Tensor dense_rows(const Tensor& x) { return x.size(-1) <= 1 || x.strides().at(-1) == 1 ? x : x.contiguous(); }

// The rows of each image, in rising order: an image's gradients are summed by one thread, in a fixed order.
struct RowsByImage {
  std::vector<int64_t> start, rows;

  RowsByImage(const int64_t* image, const Sizes& s)
      : start(static_cast<size_t>(s.images) + 1), rows(static_cast<size_t>(s.rows)) {
    for (int64_t r = 0; r < s.rows; ++r) ++start[static_cast<size_t>(image[r]) + 1];
    for (size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    for (int64_t r = 0; r < s.rows; ++r) rows[static_cast<size_t>(next[static_cast<size_t>(image[r])]++)] = r;
  }
};

// The gradients of e v . tanh(key + query), added to dkey, dquery and dv. No two of the arrays overlap:
// without that promise the compiler gives up on so many.
template <class T>
void score_backward(T e, const T* __restrict key, const T* __restrict query, const T* __restrict v,
                    T* __restrict dkey, T* __restrict dquery, T* __restrict dv, int64_t width) {
  for (int64_t j = 0; j < width; ++j) {
    const T t = fast_tanh(key[j] + query[j]), d = e * v[j] * (1 - t * t);
    dv[j] += e * t;
    dkey[j] += d;
    dquery[j] += d;
  }
}

}  // namespace

void additive_attention(AdditiveAttention arguments) {
  Tensor &context = arguments.context, &alpha = arguments.alpha;
  const Tensor keys = arguments.keys.contiguous(), values = arguments.values.contiguous(),
               query = dense_rows(arguments.query), image = arguments.image.contiguous(),
               v = arguments.v.contiguous(), &v_bias = arguments.v_bias;
  const Sizes s = checked_sizes("additive_attention", keys, values, query, image);
  dispatch_float(context.dtype(), "additive_attention", [&]<class T>() {
    T *out = context.mutable_device_data<T>(), *weights = alpha.mutable_device_data<T>();
    const T *k = keys.device_data<T>(), *f = values.device_data<T>(), *q = query.device_data<T>(),
            *vv = v.device_data<T>();
    const T shift = v_bias.defined() ? *v_bias.device_data<T>() : T(0);
    const int64_t* ids = image.device_data<int64_t>();
    const int64_t out_row = context.strides()[0], q_row = query.strides()[0];
    parallel_each(s.rows, 1, [&](int64_t r) {
      const T *key = k + ids[r] * s.places * s.width, *value = f + ids[r] * s.places * s.features;
      T *w = weights + r * s.places, *o = out + r * out_row;
      for (int64_t p = 0; p < s.places; ++p) {
        const T *a = key + p * s.width, *b = q + r * q_row;
        w[p] = lane_sum<T>(0, s.width, [=](int64_t j) { return vv[j] * fast_tanh(a[j] + b[j]); }) + shift;
      }
      const T top = *std::max_element(w, w + s.places);
      SumOf<T> total{};
      for (int64_t p = 0; p < s.places; p += kRowBlock)
        total += exp_block(w + p, w + p, std::min(kRowBlock, s.places - p), top);
      const T sum = static_cast<T>(static_cast<double>(total));
      for (int64_t p = 0; p < s.places; ++p) w[p] /= sum;
      std::fill(o, o + s.features, T(0));
      for (int64_t p = 0; p < s.places; ++p) {
        const T a = w[p];
        const T* x = value + p * s.features;
        for (int64_t j = 0; j < s.features; ++j) o[j] += a * x[j];
      }
    });
  });
}

void additive_attention_backward(AdditiveAttentionBackward arguments) {
  Tensor &dquery = arguments.dquery, &dkeys = arguments.dkeys, &dvalues = arguments.dvalues,
         &dv = arguments.dv, &dv_bias = arguments.dv_bias;
  const Tensor keys = arguments.keys.contiguous(), values = arguments.values.contiguous(),
               query = dense_rows(arguments.query), image = arguments.image.contiguous(),
               v = arguments.v.contiguous(), dcontext = dense_rows(arguments.dcontext),
               dalpha = arguments.dalpha.defined() ? arguments.dalpha.contiguous() : Tensor(),
               &alpha = arguments.alpha;
  const Sizes s = checked_sizes("additive_attention_backward", keys, values, query, image);
  dispatch_float(dquery.dtype(), "additive_attention_backward", [&]<class T>() {
    T *dq = dquery.mutable_device_data<T>(), *dk = dkeys.mutable_device_data<T>();
    T* df = dvalues.defined() ? dvalues.mutable_device_data<T>() : nullptr;
    const T *g = dcontext.device_data<T>(), *w = alpha.device_data<T>(), *k = keys.device_data<T>(),
            *f = values.device_data<T>();
    const T *q = query.device_data<T>(), *vv = v.device_data<T>(),
            *ga = dalpha.defined() ? dalpha.device_data<T>() : nullptr;
    const int64_t *ids = image.device_data<int64_t>(), g_row = dcontext.strides()[0],
                  q_row = query.strides()[0];
    const int64_t dq_row = dquery.strides()[0];
    const RowsByImage groups(ids, s);
    // Every image has its own part of dv and dv_bias; they are added in order of the images afterwards.
    Tensor dv_parts = Tensor::zeros({s.images, s.width + 1}, DType::f64);
    double* parts = dv_parts.mutable_device_data<double>();
    parallel_for(s.images, 1, [&](int64_t begin, int64_t end) {
      std::vector<T> de(static_cast<size_t>(s.places));
      WideSum<T> dq_sum(s.width), dv_sum(s.width), dk_sum;
      for (int64_t m = begin; m < end; ++m) {
        const T *key = k + m * s.places * s.width, *value = f + m * s.places * s.features;
        T* dkey = dk + m * s.places * s.width;
        double* part = parts + m * (s.width + 1);
        const int64_t first = groups.start[static_cast<size_t>(m)],
                      last = groups.start[static_cast<size_t>(m) + 1];
        const bool many = last - first > 32;  // more than may be added in f32
        if (many) dk_sum = WideSum<T>(s.places * s.width);
        for (int64_t i = first; i < last; ++i) {
          const int64_t r = groups.rows[static_cast<size_t>(i)];
          const T *gr = g + r * g_row, *wr = w + r * s.places, *qr = q + r * q_row;
          for (int64_t p = 0; p < s.places; ++p) {
            const T* x = value + p * s.features;
            de[static_cast<size_t>(p)] = lane_sum<T>(0, s.features, [=](int64_t j) { return gr[j] * x[j]; }) +
                                         (ga ? ga[r * s.places + p] : T(0));
          }
          const T mean = static_cast<T>(
              wide_sum(0, s.places, [&](int64_t p) { return wr[p] * de[static_cast<size_t>(p)]; }));
          T *dqr = dq + r * dq_row, *dkey_r = many ? dk_sum.room() : dkey;
          for (int64_t p = 0; p < s.places; ++p) {
            const T e = wr[p] * (de[static_cast<size_t>(p)] - mean);  // d loss / d e_p
            score_backward(e, key + p * s.width, qr, vv, dkey_r + p * s.width, dq_sum.room(), dv_sum.room(),
                           s.width);
            part[s.width] += static_cast<double>(e);
            if (df != nullptr) {
              T* dvalue = df + (m * s.places + p) * s.features;
              const T a = wr[p];
              for (int64_t j = 0; j < s.features; ++j) dvalue[j] += a * gr[j];
            }
          }
          std::fill(dqr, dqr + s.width, T(0));
          dq_sum.move_to(dqr);
        }
        dv_sum.move_to(part);
        if (many) dk_sum.move_to(dkey);
      }
    });
    T* total = dv.mutable_device_data<T>();
    const auto over_images = [&](int64_t j) {
      return wide_sum(0, s.images, [&](int64_t m) { return parts[m * (s.width + 1) + j]; });
    };
    for (int64_t j = 0; j < s.width; ++j)
      total[j] = static_cast<T>(static_cast<double>(total[j]) + over_images(j));
    if (dv_bias.defined()) {
      T* bias = dv_bias.mutable_device_data<T>();
      *bias = static_cast<T>(static_cast<double>(*bias) + over_images(s.width));
    }
  });
}

}  // namespace tensor::cpu
