// The references of an LSTM step and of additive attention, which three families need.
#pragma once

#include "autograd/testing/op_database/common.h"

namespace autograd::testing {

inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }

struct LstmArrays {
  const Array *weight_ih, *weight_hh, *bias_ih, *bias_hh;  // biases may be null
};

// One row: gates i, f, g, o = W_ih x + b_ih + W_hh h + b_hh; c = f c + i g; h = o tanh(c). Changes h and c.
inline void lstm_row(const LstmArrays& w, const std::vector<double>& x, std::vector<double>& h,
                     std::vector<double>& c) {
  const auto hidden = static_cast<int64_t>(h.size());
  std::vector<double> gates;
  for (int64_t g = 0; g < 4 * hidden; ++g) {
    double sum = w.bias_ih != nullptr ? (*w.bias_ih)({g}) + (*w.bias_hh)({g}) : 0;
    for (size_t k = 0; k < x.size(); ++k) sum += (*w.weight_ih)({g, static_cast<int64_t>(k)}) * x[k];
    for (int64_t k = 0; k < hidden; ++k) sum += (*w.weight_hh)({g, k}) * h[static_cast<size_t>(k)];
    gates.push_back(sum);
  }
  const auto n = static_cast<size_t>(hidden);
  for (size_t k = 0; k < n; ++k) {
    c[k] = logistic(gates[n + k]) * c[k] + logistic(gates[k]) * std::tanh(gates[2 * n + k]);
    h[k] = logistic(gates[3 * n + k]) * std::tanh(c[k]);
  }
}

struct AttentionRow {
  std::vector<double> context, alpha;
};

// softmax over places of v . tanh(keys + query) + v_bias, and the values weighted by it, of one image.
inline AttentionRow attention_row(const Array& keys, const Array& values, int64_t image,
                                  const std::vector<double>& query, const Array& v, double v_bias) {
  const int64_t places = keys.size(1);
  AttentionRow row;
  double total = 0;
  for (int64_t p = 0; p < places; ++p) {
    double score = v_bias;
    for (int64_t k = 0; k < keys.size(2); ++k)
      score += v({k}) * std::tanh(keys({image, p, k}) + query[static_cast<size_t>(k)]);
    row.alpha.push_back(std::exp(score));
    total += row.alpha.back();
  }
  for (double& a : row.alpha) a /= total;
  for (int64_t d = 0; d < values.size(2); ++d) {
    double sum = 0;
    for (int64_t p = 0; p < places; ++p) sum += row.alpha[static_cast<size_t>(p)] * values({image, p, d});
    row.context.push_back(sum);
  }
  return row;
}

// Row `i` of a matrix.
inline std::vector<double> row_of(const Array& x, int64_t i) {
  const auto n = static_cast<ptrdiff_t>(x.size(-1));
  return {x.values.begin() + i * n, x.values.begin() + (i + 1) * n};
}

}  // namespace autograd::testing
