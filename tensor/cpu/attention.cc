// Additive attention (Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473):
//   e_p = v . tanh(key_p + query) + b,  alpha = softmax(e),  context = sum_p alpha_p value_p
#include <algorithm>
#include <vector>

#include "tensor/cpu/half_rows.h"
#include "tensor/cpu/softmax.h"
#include "tensor/kernels.h"
#include "tensor/operand_types.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

struct Sizes {
  int64_t images, places, width, features, rows;  // m, p, a, d, n of kernels.h
};

Tensor dense_rows(const Tensor& x) { return x.size(-1) <= 1 || x.strides().at(-1) == 1 ? x : x.contiguous(); }

// Lays the inputs out row by row and checks that every query asks for an image that there is. Rows of queries
// and gradients may lie apart, as in a slice of a larger matrix; their columns side by side.
template <class Arguments>
Sizes prepare(const char* op, Arguments& a) {
  if (a.keys.dtype() != a.values.dtype())
    a.keys = tensor::internal::widen(a.keys), a.values = tensor::internal::widen(a.values);
  for (Tensor* t : {&a.keys, &a.values, &a.image, &a.v}) *t = t->contiguous();
  a.query = dense_rows(a.query);
  const Sizes s{a.keys.size(0), a.keys.size(1), a.keys.size(2), a.values.size(2), a.query.size(0)};
  const int64_t* ids = a.image.template device_data<int64_t>();
  for (int64_t r = 0; r < s.rows; ++r)
    check(ids[r] >= 0 && ids[r] < s.images, ErrorKind::index, "{}: row {} asks for image {} of {}", op, r,
          ids[r], s.images);
  return s;
}

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

void additive_attention(AdditiveAttention a) {
  const Sizes s = prepare("additive_attention", a);
  const NarrowRows narrow(a.context);
  dispatch_operands(a.alpha.dtype(), a.keys.dtype(), "additive_attention", [&]<class T, class K>() {
    T *out = narrow.wanted() ? nullptr : a.context.mutable_device_data<T>(),
      *weights = a.alpha.mutable_device_data<T>();
    const K *keys = a.keys.device_data<K>(), *values = a.values.device_data<K>();
    const T *queries = a.query.device_data<T>(), *v = a.v.device_data<T>();
    const T shift = a.v_bias.defined() ? *a.v_bias.device_data<T>() : T(0);
    const int64_t* ids = a.image.device_data<int64_t>();
    const int64_t out_row = a.context.strides()[0], q_row = a.query.strides()[0];
    parallel_each(s.rows, 1, [&](int64_t r) {
      WideRows<T, K> wide_key(s.width), wide_value(s.features);
      std::vector<T> room(narrow.wanted() ? static_cast<size_t>(s.features) : 0);
      const K *image_keys = keys + ids[r] * s.places * s.width,
              *image_values = values + ids[r] * s.places * s.features;
      const T* query = queries + r * q_row;
      T *w = weights + r * s.places, *o = narrow.wanted() ? room.data() : out + r * out_row;
      for (int64_t p = 0; p < s.places; ++p) {
        const T* key = wide_key(image_keys + p * s.width);
        w[p] =
            shift + lane_sum<T>(0, s.width, [=](int64_t j) { return v[j] * fast_tanh(key[j] + query[j]); });
      }
      const T top = *std::max_element(w, w + s.places);
      SumOf<T> total{};
      for (int64_t p = 0; p < s.places; p += kRowBlock)
        total += exp_block(w + p, w + p, std::min(kRowBlock, s.places - p), top);
      const T sum = static_cast<T>(static_cast<double>(total));
      for (int64_t p = 0; p < s.places; ++p) w[p] /= sum;
      std::fill(o, o + s.features, T(0));
      for (int64_t p = 0; p < s.places; ++p) {
        const T weight = w[p], *value = wide_value(image_values + p * s.features);
        for (int64_t j = 0; j < s.features; ++j) o[j] += weight * value[j];
      }
      if (narrow.wanted()) narrow.write(r, o);
    });
  });
}

void additive_attention_backward(AdditiveAttentionBackward a) {
  const Sizes s = prepare("additive_attention_backward", a);
  a.dcontext = dense_rows(a.dcontext);
  if (a.dalpha.defined()) a.dalpha = a.dalpha.contiguous();
  const NarrowRows narrow(a.dquery);
  dispatch_operands(a.dkeys.dtype(), a.keys.dtype(), "additive_attention_backward", [&]<class T, class K>() {
    T *dq = narrow.wanted() ? nullptr : a.dquery.mutable_device_data<T>(),
      *dk = a.dkeys.mutable_device_data<T>();
    T* df = a.dvalues.defined() ? a.dvalues.mutable_device_data<T>() : nullptr;
    const K *k = a.keys.device_data<K>(), *f = a.values.device_data<K>();
    const T *g = a.dcontext.device_data<T>(), *w = a.alpha.device_data<T>(), *q = a.query.device_data<T>(),
            *v = a.v.device_data<T>(), *ga = a.dalpha.defined() ? a.dalpha.device_data<T>() : nullptr;
    const int64_t *ids = a.image.device_data<int64_t>(), g_row = a.dcontext.strides()[0],
                  q_row = a.query.strides()[0], dq_row = a.dquery.strides()[0];
    const RowsByImage groups(ids, s);
    // Every image has its own part of dv and dv_bias; they are added in order of the images afterwards.
    Tensor dv_parts = Tensor::zeros({s.images, s.width + 1}, DType::f64);
    double* parts = dv_parts.mutable_device_data<double>();
    parallel_for(s.images, 1, [&](int64_t begin, int64_t end) {
      std::vector<T> de(static_cast<size_t>(s.places)),
          room(narrow.wanted() ? static_cast<size_t>(s.width) : 0);
      WideRows<T, K> wide_key(s.width), wide_value(s.features);
      WideSum<T> dq_sum(s.width), dv_sum(s.width), dk_sum;
      for (int64_t m = begin; m < end; ++m) {
        const K *key = k + m * s.places * s.width, *value = f + m * s.places * s.features;
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
            const T* x = wide_value(value + p * s.features);
            de[static_cast<size_t>(p)] = lane_sum<T>(0, s.features, [=](int64_t j) { return gr[j] * x[j]; }) +
                                         (ga ? ga[r * s.places + p] : T(0));
          }
          const T mean = static_cast<T>(
              wide_sum(0, s.places, [&](int64_t p) { return wr[p] * de[static_cast<size_t>(p)]; }));
          T *dqr = narrow.wanted() ? room.data() : dq + r * dq_row, *dkey_r = many ? dk_sum.room() : dkey;
          for (int64_t p = 0; p < s.places; ++p) {
            const T e = wr[p] * (de[static_cast<size_t>(p)] - mean);  // d loss / d e_p
            score_backward(e, wide_key(key + p * s.width), qr, v, dkey_r + p * s.width, dq_sum.room(),
                           dv_sum.room(), s.width);
            part[s.width] += static_cast<double>(e);
            if (df != nullptr) {
              T* dvalue = df + (m * s.places + p) * s.features;
              for (int64_t j = 0; j < s.features; ++j) dvalue[j] += wr[p] * gr[j];
            }
          }
          std::fill(dqr, dqr + s.width, T(0));
          dq_sum.move_to(dqr);
          if (narrow.wanted()) narrow.write(r, dqr);
        }
        dv_sum.move_to(part);
        if (many) dk_sum.move_to(dkey);
      }
    });
    T* total = a.dv.mutable_device_data<T>();
    const auto over_images = [&](int64_t j) {
      return wide_sum(0, s.images, [&](int64_t m) { return parts[m * (s.width + 1) + j]; });
    };
    for (int64_t j = 0; j < s.width; ++j)
      total[j] = static_cast<T>(static_cast<double>(total[j]) + over_images(j));
    if (a.dv_bias.defined()) {
      T* bias = a.dv_bias.mutable_device_data<T>();
      *bias = static_cast<T>(static_cast<double>(*bias) + over_images(s.width));
    }
  });
}

}  // namespace tensor::cpu
