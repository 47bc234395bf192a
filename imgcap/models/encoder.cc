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

bool Encoder::is_of_today(const Plan& plan) const {
  if (!plan.network || plan.network->arithmetic() != arithmetic_) return false;
  size_t i = 0;
  bool same = true;
  for_each_tensor([&](const Tensor& t) {
    same = same && i < plan.state.size() && plan.state[i].first.device_raw() == t.device_raw() &&
           plan.state[i].second == t.version();
    ++i;
  });
  return same && i == plan.state.size();
}

std::shared_ptr<const FrozenCnn> Encoder::plan(int left_out) {
  const std::lock_guard lock(mutex_);
  if (plan_.left_out == left_out && is_of_today(plan_)) return plan_.network;
  Plan made{left_out, nullptr, {}};
  for_each_tensor([&](const Tensor& t) { made.state.emplace_back(t, t.version()); });
  auto network = std::make_shared<FrozenCnn>(arithmetic_);
  build(*network, left_out);
  made.network = std::move(network);
  plan_ = std::move(made);
  return plan_.network;
}

size_t Encoder::first_of_last(int count) const {
  check(count >= 0 && count <= stage_count(), ErrorKind::argument, "{}: {} stages to train, there are {}",
        name(), count, stage_count());
  return static_cast<size_t>(stage_count() - count);
}

int64_t Encoder::channels_before(int count) const {
  const size_t first = first_of_last(count);
  return count == 0 ? feature_channels() : stages()[first].in_channels;
}

Variable Encoder::forward_last(int count, const Variable& x) {
  const nn::Scope scope(*this);
  Variable y = x;
  const auto end = static_cast<size_t>(stage_count());
  for (size_t stage = first_of_last(count); stage < end; ++stage) y = forward_stage(stage, y);
  return y;
}

void Encoder::build(CnnBuilder& plan, int left_out) const {
  int y = CnnBuilder::kInput;
  const size_t end = first_of_last(left_out);
  for (size_t stage = 0; stage < end; ++stage) y = build_stage(stage, plan, y);
}

void Encoder::set_arithmetic(tensor::DType dtype) {
  check(encodes_in(dtype), ErrorKind::argument, "{}: its arithmetic is f32, f16 or bf16, not {}", name(),
        tensor::name_of(dtype));
  arithmetic_ = dtype;
}

Tensor Encoder::features(const Tensor& pictures, int left_out) {
  check(pictures.rank() == 4 && pictures.size(1) == 3, ErrorKind::shape,
        "{}: pictures {} must be (n, 3, h, w)", name(), to_string(pictures.shape()));
  check(pictures.device() == device(), ErrorKind::device, "{}: pictures on {} for weights on {}", name(),
        to_string(pictures.device()), to_string(device()));
  const size_t end = first_of_last(left_out);
  if (frozen() && pictures.dtype() == tensor::DType::f32 && end > 0) return plan(left_out)->run(pictures);
  const autograd::NoGrad guard;
  const nn::Scope scope(*this);
  Variable y = pictures;
  for (size_t stage = 0; stage < end; ++stage) y = forward_stage(stage, y);
  return y.data();
}

Tensor Encoder::classify(const Tensor& pictures) {
  const Tensor grid = features(pictures);
  const autograd::NoGrad guard;
  return autograd::softmax(forward_head(grid)).data();
}

tensor::Device Encoder::device() const {
  tensor::Device device;
  for_each_tensor([&](const Tensor& t) { device = t.device(); });
  return device;
}

std::string Encoder::classifier() {
  for (const auto& [name, module] : named_modules())
    if (module == &head()) return name;
  return "";
}

Tensor Encoder::preprocess(const Image& picture, const Preprocessing& how) {
  Tensor out = Tensor::empty({1, 3, how.height, how.width});
  to_chw(picture, how, out.mutable_data<float>());
  return out;
}

void Encoder::finetune(int count) {
  const size_t first = first_of_last(count);
  unfreeze();
  if (count == 0) return freeze();
  const std::vector<Stage> all = stages();
  for (size_t i = 0; i < first; ++i)
    for (nn::Module* module : all[i].modules) module->freeze();
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
