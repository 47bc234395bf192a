#include "imgcap/models/efficientnet_lite.h"

#include "autograd/ops.h"
#include "imgcap/models/new_conv.h"

namespace imgcap {
namespace {

struct Group {
  int64_t kernel, stride, expansion, out;
  int repeats;
};
constexpr Group kGroups[] = {{3, 1, 1, 16, 1},  {3, 2, 6, 24, 3},  {5, 2, 6, 48, 3}, {3, 2, 6, 88, 4},
                             {5, 1, 6, 120, 4}, {5, 2, 6, 208, 5}, {3, 1, 6, 352, 1}};
constexpr int64_t kStem = 32, kHead = 1280;
constexpr auto kSame = CnnBuilder::Padding::same;

std::unique_ptr<nn::BatchNorm2d> new_norm(int64_t channels) {
  nn::BatchNormOptions options;
  options.eps = 1e-3;
  options.momentum = 0.01;
  return std::make_unique<nn::BatchNorm2d>(channels, options);
}

Variable same_conv(nn::Conv2d& conv, const Variable& x) {
  const auto& w = conv.weight();
  return conv.forward(x, same_padding(conv.options(), w.size(2), w.size(3), x.size(2), x.size(3)));
}

}  // namespace

InvertedResidual::InvertedResidual(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t expansion)
    : residual_(stride == 1 && in == out) {
  const int64_t wide = in * expansion;
  if (expansion != 1) {
    expand_ = new_conv(in, wide, 1, {});
    norm0_ = new_norm(wide);
    register_module("_expand_conv", *expand_);
    register_module("_bn0", *norm0_);
  }
  depthwise_ = new_conv(wide, wide, kernel, nn::conv2d_options(stride, 0, 1, wide));
  norm1_ = new_norm(wide);
  project_ = new_conv(wide, out, 1, {});
  norm2_ = new_norm(out);
  register_module("_depthwise_conv", *depthwise_);
  register_module("_bn1", *norm1_);
  register_module("_project_conv", *project_);
  register_module("_bn2", *norm2_);
}

Variable InvertedResidual::forward(const Variable& x) {
  Variable y = x;
  if (expand_) y = autograd::relu6((*norm0_)((*expand_)(y)));
  y = autograd::relu6((*norm1_)(same_conv(*depthwise_, y)));
  y = (*norm2_)((*project_)(y));
  return residual_ ? y + x : y;
}

int InvertedResidual::build(CnnBuilder& plan, int x) const {
  int y = expand_ ? plan.conv(x, *expand_, *norm0_, Activation::relu6) : x;
  y = plan.conv(y, *depthwise_, *norm1_, Activation::relu6, -1, kSame);
  return plan.conv(y, *project_, *norm2_, Activation::none, residual_ ? x : -1);
}

EfficientNetLite::EfficientNetLite(int64_t classes) : classes_(classes) {
  stem_ = new_conv(3, kStem, 3, nn::conv2d_options(2));
  norm0_ = new_norm(kStem);
  register_module("_conv_stem", *stem_);
  register_module("_bn0", *norm0_);
  int64_t channels = kStem;
  for (const Group& group : kGroups) {
    if (group.stride == 2) stage_starts_.push_back(blocks_.list.size());
    for (int i = 0; i < group.repeats; ++i) {
      blocks_.add(std::make_unique<InvertedResidual>(channels, group.out, group.kernel,
                                                     i == 0 ? group.stride : 1, group.expansion));
      channels = group.out;
    }
  }
  register_module("_blocks", blocks_);
  conv_head_ = new_conv(channels, kHead, 1, {});
  norm1_ = new_norm(kHead);
  register_module("_conv_head", *conv_head_);
  register_module("_bn1", *norm1_);
  fc_ = std::make_unique<nn::Linear>(kHead, classes);
  register_module("_fc", *fc_);
}

Variable EfficientNetLite::forward_features(const Variable& x) {
  const nn::Scope scope(*this);
  Variable y = autograd::relu6((*norm0_)(same_conv(*stem_, x)));
  {
    const nn::Scope inside(blocks_);
    for (const auto& block : blocks_.list) y = (*block)(y);
  }
  return autograd::relu6((*norm1_)((*conv_head_)(y)));
}

Variable EfficientNetLite::forward_head(const Variable& features) {
  const nn::Scope scope(*this);
  return (*fc_)(autograd::flatten(autograd::adaptive_avg_pool2d(features, 1, 1), 1));
}

void EfficientNetLite::build(CnnBuilder& plan) const {
  int y = plan.conv(CnnBuilder::kInput, *stem_, *norm0_, Activation::relu6, -1, kSame);
  for (const auto& block : blocks_.list) y = block->build(plan, y);
  plan.conv(y, *conv_head_, *norm1_, Activation::relu6);
}

std::vector<std::vector<nn::Module*>> EfficientNetLite::stages() {
  std::vector<std::vector<nn::Module*>> result{{stem_.get(), norm0_.get()}};
  size_t next = 0;
  for (size_t i = 0; i < blocks_.list.size(); ++i) {
    if (next < stage_starts_.size() && i == stage_starts_[next]) {
      result.emplace_back();
      ++next;
    }
    result.back().push_back(blocks_.list[i].get());
  }
  result.back().push_back(conv_head_.get());
  result.back().push_back(norm1_.get());
  return result;
}

}  // namespace imgcap
