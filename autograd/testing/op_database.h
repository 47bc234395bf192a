// One record a public op: what it is, what it should give, and what it should refuse. The suite (op_suite.h),
// the program's verbs and the tests read it; so can a user who adds an op. After PyTorch's OpInfo.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/testing/array.h"
#include "autograd/variable.h"

namespace autograd::testing {

// The types that ops with gradients take: 16-bit floats are computed in f32, and results rounded once.
inline constexpr DType kFloatTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

// A tensor that a sample gives to its op.
struct SampleInput {
  enum class Kind { floating, index, condition };  // in the type under test; i64; bool
  Array values;
  Kind kind = Kind::floating;
  bool differentiable = true;  // floating only
  // Its gradient is 0 but for rounding (a shift before a softmax): what is compared is measured by the
  // greatest of all gradients.
  bool no_effect = false;
};

using OpFunction = std::function<Variables(const Variables& inputs)>;
using Reference = std::function<std::vector<Array>(const std::vector<Array>& inputs)>;

// One call of an op, its settings bound.
struct Sample {
  std::string label;  // "(2, 3) x (3, 4)"
  std::vector<SampleInput> inputs = {};
  OpFunction op = {};
  Reference reference = {};  // loops in double, sharing no code with the kernels; one array for each output
  OpFunction composed = {};  // the same of plain ops, for fused ops; empty for others

  // Of a size that models use: derivatives along random directions in place of each element's, and no
  // layouts. When it is not said: an input has over 1000 elements.
  std::optional<bool> of_model_size = {};
  bool large() const {
    return of_model_size.value_or(
        std::ranges::any_of(inputs, [](const SampleInput& i) { return i.values.numel() > 1000; }));
  }
};

struct ErrorSample {
  std::string label;
  std::function<void()> call;
  ErrorKind kind;
  std::vector<std::string> says;  // parts of its sentence: the op and both shapes
};

// How far a result may be from the reference: |x - reference| <= tolerance * max(|reference|, the greatest of
// all).
struct Tolerance {
  double f32 = 2e-6, f64 = 1e-13;
  const char* reason = "a few roundings of one operation";
  // How often a 16-bit result is rounded on its way: once by a kernel, more by ops of several kernels. A
  // rounding is half a unit in the last place, 2^-11 in f16 and 2^-8 in bf16.
  int roundings = 1;
};

struct OpRecord {
  enum class Derivatives { none, once, twice };  // `once`: a second derivative is refused with a sentence
  std::string name;
  std::string family = {};  // what is tested together; of autograd's own the file of autograd/ops/
  Derivatives derivatives = Derivatives::twice;
  bool fused = false;
  Tolerance tolerance = {};
  bool sums_gradients = false;  // where nothing else is computed: each device in its own order
  std::vector<Sample> samples = {};
  std::vector<ErrorSample> errors = {};
  // Takes integers, too (views, copies): other types are not expected to be refused.
  bool any_type = false;
  std::string file = {};  // where the op is; empty: autograd/ops/FAMILY.cc

  std::string path() const { return file.empty() ? "autograd/ops/" + family + ".cc" : file; }
};

// Those of autograd, in the order of autograd/ops.h. Made at the first call. A program with ops of its own
// has a longer list, made of these and its own (imgcap/testing/op_records.h).
const std::vector<OpRecord>& op_database();
// Null when there is none of that name.
const OpRecord* find_op(std::string_view name, const std::vector<OpRecord>& records = op_database());
// Names of ops that resemble `name`, for "did you mean".
std::vector<std::string> similar_ops(std::string_view name,
                                     const std::vector<OpRecord>& records = op_database());

// --- for the records

// Numbers that depend on `seed` and the place alone, in [low, high).
Array random_array(const Shape& shape, uint64_t seed, double low = -2, double high = 2);
// The same, none nearer than `gap` to one of `kinks`: where the derivative jumps, differences are wrong.
Array random_away_from(const Shape& shape, uint64_t seed, const std::vector<double>& kinks, double low = -2,
                       double high = 2, double gap = 0.05);
// All different, none nearer than 0.03 to another: for maxima and orders.
Array random_distinct(const Shape& shape, uint64_t seed);
Array random_indices(const Shape& shape, uint64_t seed, int64_t below);

inline SampleInput floating(Array values) { return {.values = std::move(values)}; }
inline SampleInput constant_input(Array values) {
  return {.values = std::move(values), .differentiable = false};
}
inline SampleInput without_effect(Array values) { return {.values = std::move(values), .no_effect = true}; }
inline SampleInput indices(Array values) {
  return {.values = std::move(values), .kind = SampleInput::Kind::index, .differentiable = false};
}
inline SampleInput condition(Array values) {
  return {.values = std::move(values), .kind = SampleInput::Kind::condition, .differentiable = false};
}

}  // namespace autograd::testing
