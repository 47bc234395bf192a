#include "imgcap/models/ensemble.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
namespace kernels = tensor::kernels;

namespace {

const DecoderConfig& common_config(const std::vector<std::unique_ptr<Decoder>>& members) {
  check(!members.empty(), ErrorKind::argument, "ensemble: it has no member");
  const DecoderConfig& first = members.front()->config();
  for (const auto& member : members) {
    const DecoderConfig& other = member->config();
    check(other.vocabulary == first.vocabulary && other.features == first.features, ErrorKind::argument,
          "ensemble: a member of {} tokens and {} channels beside one of {} and {}", other.vocabulary,
          other.features, first.vocabulary, first.features);
    check(member->device() == members.front()->device(), ErrorKind::argument,
          "ensemble: a member on {} beside one on {}", to_string(member->device()),
          to_string(members.front()->device()));
  }
  const auto looks = std::find_if(members.begin(), members.end(), [](const auto& member) {
    return member->config().kind == DecoderKind::attention;
  });
  return looks == members.end() ? first : (*looks)->config();
}

// all = log(exp(all) + exp(part)). In logarithms, as an unlikely word's probability is 0 in f32 when its
// logarithm is still exact.
template <class T>
void add_row(T* all, const T* part, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T a = all[i], b = part[i];
    const T rest = a == b ? T{0} : -std::fabs(a - b);  // equal ones may be -inf
    all[i] = (a > b ? a : b) + std::log(T{1} + std::exp(rest));
  }
}

// The same by a device's kernels, each over all rows.
void add_on_device(Tensor& all, const Tensor& part) {
  using tensor::BinaryOp, tensor::UnaryOp;
  Tensor rest = Tensor::empty(all.shape(), all.dtype(), all.device());
  Tensor equal = Tensor::empty(all.shape(), tensor::DType::boolean, all.device());
  kernels::binary(equal, all, part, BinaryOp::eq);
  kernels::binary(rest, all, part, BinaryOp::sub);
  kernels::unary(rest, rest, UnaryOp::abs);
  kernels::where(rest, equal, Tensor::zeros({1}, all.dtype(), all.device()), rest);
  kernels::affine(rest, rest, -1, 0);
  kernels::unary(rest, rest, UnaryOp::exp);
  kernels::affine(rest, rest, 1, 1);
  kernels::unary(rest, rest, UnaryOp::log);
  kernels::binary(all, all, part, BinaryOp::maximum);
  kernels::add_inplace(all, rest, 1);
}

void add_probabilities(Tensor& all, const Tensor& part) {
  check(part.dtype() == all.dtype(), ErrorKind::dtype, "ensemble: logits {} beside {}",
        tensor::describe(part), tensor::describe(all));
  if (!all.device().is_cpu()) return add_on_device(all, part);
  tensor::dispatch_float(all.dtype(), "ensemble", [&]<class T>() {
    const int64_t width = all.size(1);
    T* to = all.mutable_data<T>();
    const T* from = part.data<T>();
    tensor::parallel_each(all.size(0), 1,
                          [&](int64_t row) { add_row(to + row * width, from + row * width, width); });
  });
}

}  // namespace

Ensemble::Ensemble(std::vector<std::unique_ptr<Decoder>> members) : Decoder(common_config(members)) {
  for (size_t k = 0; k < members.size(); ++k)
    members_.push_back(&own(tensor::format("{}", k), std::move(members[k])));
  eval();
}

CaptionLoss Ensemble::loss(const CaptionBatch&, const LossOptions&) {
  tensor::fail(ErrorKind::argument, "Ensemble: it has no loss; its members are trained one by one");
}

Tensor Ensemble::logits(const Tensor&) {
  tensor::fail(ErrorKind::argument, "Ensemble: its members have no layer in common; step() has the logits");
}

DecodingState Ensemble::start(const Tensor& features) {
  const nn::Scope scope(*this);
  DecodingState state;
  for (Decoder* member : members_) state.members.push_back(member->start(features));
  return state;
}

Tensor Ensemble::step(DecodingState& state, const Tensor& words) {
  const nn::Scope scope(*this);
  Tensor all;
  double looking = 0;
  for (size_t k = 0; k < members_.size(); ++k) {
    const Tensor logits = members_[k]->step(state.members[k], words).contiguous();
    tensor::Room& room = k == 0 ? state.rooms.logits : state.rooms.member;
    Tensor own = room.take(logits.shape(), logits.dtype(), logits.device());
    kernels::log_softmax(own, logits);
    looking += state.members[k].alpha.defined() ? 1 : 0;
    if (k == 0)
      all = own;
    else
      add_probabilities(all, own);
  }
  kernels::affine(all, all, 1, -std::log(static_cast<double>(members_.size())));
  state.alpha = Tensor();
  for (const DecodingState& member : state.members) {
    if (!member.alpha.defined()) continue;
    if (!state.alpha.defined()) {
      state.alpha = state.rooms.alpha.take(member.alpha.shape(), member.alpha.dtype(), member.alpha.device());
      state.alpha.fill_(0);
    }
    kernels::add_inplace(state.alpha, member.alpha, 1 / looking);
  }
  return all;
}

}  // namespace imgcap
