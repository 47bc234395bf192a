#include "autograd/autocast.h"

#include <map>
#include <tuple>
#include <utility>

#include "autograd/ops.h"
#include "tensor/error.h"

namespace autograd {
namespace {

using tensor::check;

struct Cast {
  Variable weight;          // held, so that its address is not given to another one
  TensorIdentity identity;  // of what was cast
  uint64_t version = 0;
  Variable result;
};

// By the address of a weight's tensor, which all handles of a variable share, the type, and whether gradients were on: a cast
// without a node must not serve an op that needs one.
using Casts = std::map<std::tuple<const Tensor*, DType, bool>, Cast>;

// Without a destructor, so that static objects, which are destroyed after it, may still compute.
struct State {
  std::optional<DType> dtype;
  int depth = 0;
  Casts* casts = nullptr;  // made for the first, deleted by the outermost guard
};

constinit thread_local State state;

bool is_castable(const Variable& x) {
  return x.defined() && (x.dtype() == DType::f32 || tensor::is_half(x.dtype()));
}

bool is_current(const Cast& cast) {
  const Tensor& now = cast.weight.data();
  return now.version() == cast.version && TensorIdentity(now) == cast.identity;
}

std::optional<DType> widest(const Variable* const* begin, const Variable* const* end) {
  if (!state.dtype) return {};
  std::optional<DType> type;
  bool mixed = false;
  for (const Variable* const* x = begin; x != end; ++x) {
    if (!is_castable(**x)) return {};  // an op's own check says what it thinks of f64 beside f32
    const DType dtype = (*x)->dtype();
    mixed = mixed || (type && *type != dtype);
    type = !type || *type == dtype ? dtype : DType::f32;
  }
  return mixed ? type : std::nullopt;
}

}  // namespace

AutocastGuard::AutocastGuard(DType dtype) : previous_(state.dtype) {
  check(tensor::is_half(dtype) || dtype == DType::f32, ErrorKind::dtype,
        "autocast: to f16 or bf16, or f32 for none, not to {}", tensor::name_of(dtype));
  state.dtype = dtype == DType::f32 ? std::nullopt : std::optional(dtype);
  ++state.depth;
}

AutocastGuard::~AutocastGuard() {
  state.dtype = previous_;
  if (--state.depth > 0) return;
  delete std::exchange(state.casts, nullptr);  // their destructors see an empty cache
}

std::optional<DType> autocast_dtype() { return state.dtype; }

Variable autocast_lower(const Variable& x) {
  State& s = state;
  if (!s.dtype || !is_castable(x) || x.dtype() == *s.dtype) return x;
  if (!(x.dtype() == DType::f32 && x.requires_grad() && x.is_leaf())) return to(x, *s.dtype);
  if (s.casts == nullptr) s.casts = new Casts;
  Cast& cast = (*s.casts)[{&x.data(), *s.dtype, grad_enabled()}];
  if (!cast.result.defined() || !is_current(cast))
    cast = {x, TensorIdentity(x.data()), x.data().version(), to(x, *s.dtype)};
  return cast.result;
}

Variable autocast_f32(const Variable& x) {
  return state.dtype && x.defined() && tensor::is_half(x.dtype()) ? to(x, DType::f32) : x;
}

std::optional<DType> autocast_promoted(std::initializer_list<const Variable*> inputs) {
  return widest(inputs.begin(), inputs.end());
}

std::optional<DType> autocast_promoted(const Variables& inputs) {
  std::vector<const Variable*> pointers;
  for (const Variable& input : inputs) pointers.push_back(&input);
  return widest(pointers.data(), pointers.data() + pointers.size());
}

int64_t autocast_cache_size() {
  return state.casts == nullptr ? 0 : static_cast<int64_t>(state.casts->size());
}

}  // namespace autograd
