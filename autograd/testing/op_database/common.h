// What the files of op_database/ share.
#pragma once

#include <cmath>
#include <concepts>

#include "autograd/ops.h"
#include "autograd/testing/op_database.h"
#include "tensor/format.h"

namespace autograd::testing {

// The records of each family, in FAMILY.cc.
std::vector<OpRecord> arithmetic_ops();
std::vector<OpRecord> activation_ops();
std::vector<OpRecord> reduce_ops();
std::vector<OpRecord> shape_ops();
std::vector<OpRecord> matmul_ops();
std::vector<OpRecord> softmax_ops();
std::vector<OpRecord> cross_entropy_ops();
std::vector<OpRecord> conv2d_ops();
std::vector<OpRecord> pool_ops();
std::vector<OpRecord> batch_norm_ops();
std::vector<OpRecord> embedding_ops();
std::vector<OpRecord> dropout_ops();
std::vector<OpRecord> lstm_ops();
std::vector<OpRecord> attention_ops();

inline const Tolerance kExponential = {
    .f32 = 3e-6, .f64 = 1e-13, .reason = "the float kernel's own exponential is within 3e-7"};

inline std::string text(const Shape& shape) { return to_string(shape); }

// From what gives one result to what gives a list of one.
template <class F>
OpFunction one(F op) {
  return [op](const Variables& in) { return Variables{op(in)}; };
}
template <class F>
Reference one_array(F reference) {
  return [reference](const std::vector<Array>& in) { return std::vector<Array>{reference(in)}; };
}

// Input `k`, where the sample has it: a bias.
inline Variable optional_input(const Variables& in, size_t k) { return in.size() > k ? in[k] : Variable(); }

// Random arrays, each with a seed of its own.
class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  uint64_t seed() { return seed_++; }
  Array operator()(const Shape& shape, double low = -2, double high = 2) {
    return random_array(shape, seed(), low, high);
  }

 private:
  uint64_t seed_;
};

// --- what error samples are made of

inline ErrorSample refuses(std::string label, std::function<void()> call, ErrorKind kind,
                           std::vector<std::string> says) {
  return {.label = std::move(label), .call = std::move(call), .kind = kind, .says = std::move(says)};
}
inline Variable zeros(const Shape& shape) { return Tensor::zeros(shape); }
template <std::integral... Sizes>
Variable zeros(Sizes... sizes) {
  return Tensor::zeros({static_cast<int64_t>(sizes)...});
}
// i64, all the same.
inline Tensor ids(int64_t n, double value = 0) { return Tensor::full({n}, value, DType::i64); }

// --- unary ops, element by element

struct Unary {
  const char* name;
  Variable (*op)(const Variable&);
  double (*reference)(double);
  double low = -2, high = 2;       // the inputs' range,
  std::vector<double> kinks = {};  // and what they are kept away from
  Tolerance tolerance = {};
};
OpRecord unary_op(const Unary& u, const std::vector<Shape>& shapes, uint64_t seed);

}  // namespace autograd::testing
