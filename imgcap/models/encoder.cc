#include "imgcap/models/encoder.h"

#include <algorithm>
#include <optional>

#include "autograd/ops.h"
#include "imgcap/data/encoder_arithmetic.h"
#include "imgcap/models/efficientnet_lite.h"
#include "imgcap/models/resnet.h"
#include "nn/init.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

bool Encoder::plan_is_of_today() const {
  if (!plan_ || plan_->arithmetic() != arithmetic_) return false;
  size_t i = 0;
  bool same = true;
  for_each_tensor([&](const Tensor& t) {
    same = same && i < plan_state_.size() && plan_state_[i].first.raw() == t.raw() &&
           plan_state_[i].second == t.version();
    ++i;
  });
  return same && i == plan_state_.size();
}

std::shared_ptr<const FrozenCnn> Encoder::plan() {
  const std::lock_guard lock(mutex_);
  if (plan_is_of_today()) return plan_;
  std::vector<std::pair<Tensor, uint64_t>> state;
  for_each_tensor([&](const Tensor& t) { state.emplace_back(t, t.version()); });
  auto plan = std::make_shared<FrozenCnn>(arithmetic_);
  build(*plan);
  plan_ = std::move(plan);
  plan_state_ = std::move(state);
  return plan_;
}

void Encoder::set_arithmetic(tensor::DType dtype) {
  check(encodes_in(dtype), ErrorKind::argument, "{}: its arithmetic is f32 or bf16, not {}", name(),
        tensor::name_of(dtype));
  arithmetic_ = dtype;
}

Tensor Encoder::features(const Tensor& pictures) {
  check(pictures.rank() == 4 && pictures.size(1) == 3, ErrorKind::shape,
        "{}: pictures {} must be (n, 3, h, w)", name(), to_string(pictures.shape()));
  const bool plain = pictures.dtype() == tensor::DType::f32 && pictures.device().is_cpu();
  if (frozen() && plain) return plan()->run(pictures);
  const autograd::NoGrad guard;
  return forward_features(pictures).data();
}

Tensor Encoder::classify(const Tensor& pictures) {
  const Tensor grid = features(pictures);
  const autograd::NoGrad guard;
  return autograd::softmax(forward_head(grid)).data();
}

std::string Encoder::classifier() {
  for (const auto& [name, module] : named_modules())
    if (module == &head()) return name;
  return "";
}

Tensor Encoder::preprocess(const Image& picture) const {
  const Preprocessing how = preprocessing();
  Tensor out = Tensor::empty({1, 3, how.height, how.width});
  to_chw(picture, how, out.mutable_data<float>());
  return out;
}

void Encoder::finetune(int count) {
  const auto all = stages();
  check(count >= 0 && count <= static_cast<int>(all.size()), ErrorKind::argument,
        "{}: {} stages to train, there are {}", name(), count, all.size());
  unfreeze();
  if (count == 0) return freeze();
  for (size_t i = 0; i + static_cast<size_t>(count) < all.size(); ++i)
    for (nn::Module* module : all[i]) module->freeze();
  head().freeze();
}

std::vector<std::string> encoder_names() {
  return {"efficientnet_lite2", "resnet18", "resnet34", "resnet50", "resnet101"};
}

std::unique_ptr<Encoder> make_encoder(std::string_view name, bool initialize, int64_t classes) {
  std::optional<nn::SkipInit> skip;
  if (!initialize) skip.emplace();
  if (name == "efficientnet_lite2") return std::make_unique<EfficientNetLite>(classes);
  for (const int depth : {18, 34, 50, 101})
    if (name == tensor::format("resnet{}", depth)) return std::make_unique<ResNet>(depth, classes);
  tensor::fail(ErrorKind::argument, "encoder: '{}' is not known; there are {}", name,
               tensor::join(encoder_names(), ", "));
}

}  // namespace imgcap
