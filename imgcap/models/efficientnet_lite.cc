#include "imgcap/models/efficientnet_lite.h"

#include "autograd/ops.h"
#include "nn/init.h"

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

constexpr nn::BatchNormOptions kNorm{.eps = 1e-3, .momentum = 0.01};
// N(0, 2 / fan out) as in He et al. 2015.
constexpr nn::Conv2d::Initialiser* kInitial = nn::init::kaiming_normal_fan_out;
constexpr nn::Conv2dOptions kPointwise{};

Variable same_conv(nn::Conv2d& conv, const Variable& x) {
  const auto& w = conv.weight();
  return conv.forward(x, same_padding(conv.options(), w.size(2), w.size(3), x.size(2), x.size(3)));
}

}  // namespace

InvertedResidual::InvertedResidual(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t expansion)
    : residual_(stride == 1 && in == out),
      expand_(expansion == 1 ? nullptr
                             : &add<nn::Conv2d>("_expand_conv", in, in * expansion, 1, kPointwise, kInitial)),
      norm0_(expansion == 1 ? nullptr : &add<nn::BatchNorm2d>("_bn0", in * expansion, kNorm)),
      depthwise_(add<nn::Conv2d>("_depthwise_conv", in * expansion, in * expansion, kernel,
                                 nn::conv2d_options(stride, 0, 1, in * expansion), kInitial)),
      norm1_(add<nn::BatchNorm2d>("_bn1", in * expansion, kNorm)),
      project_(add<nn::Conv2d>("_project_conv", in * expansion, out, 1, kPointwise, kInitial)),
      norm2_(add<nn::BatchNorm2d>("_bn2", out, kNorm)) {}

Variable InvertedResidual::forward(const Variable& x) {
  Variable y = x;
  if (expand_ != nullptr) y = autograd::relu6((*norm0_)((*expand_)(y)));
  y = autograd::relu6(norm1_(same_conv(depthwise_, y)));
  y = norm2_(project_(y));
  return residual_ ? y + x : y;
}

int InvertedResidual::build(CnnBuilder& plan, int x) const {
  int y = expand_ != nullptr ? plan.conv(x, *expand_, *norm0_, Activation::relu6) : x;
  y = plan.conv(y, depthwise_, norm1_, Activation::relu6, -1, kSame);
  return plan.conv(y, project_, norm2_, Activation::none, residual_ ? x : -1);
}

EfficientNetLite::Blocks::Blocks() : out_channels(kStem) {
  for (const Group& group : kGroups) {
    if (group.stride == 2) stage_starts.push_back(size());
    for (int i = 0; i < group.repeats; ++i) {
      emplace<InvertedResidual>(out_channels, group.out, group.kernel, i == 0 ? group.stride : 1,
                                group.expansion);
      out_channels = group.out;
    }
  }
}

EfficientNetLite::EfficientNetLite(int64_t classes)
    : classes_(classes),
      stem_(add<nn::Conv2d>("_conv_stem", 3, kStem, 3, nn::conv2d_options(2), kInitial)),
      norm0_(add<nn::BatchNorm2d>("_bn0", kStem, kNorm)),
      blocks_(add<Blocks>("_blocks")),
      conv_head_(add<nn::Conv2d>("_conv_head", blocks_.out_channels, kHead, 1, kPointwise, kInitial)),
      norm1_(add<nn::BatchNorm2d>("_bn1", kHead, kNorm)),
      fc_(add<nn::Linear>("_fc", kHead, classes)) {}

Variable EfficientNetLite::forward_features(const Variable& x) {
  const nn::Scope scope(*this);
  const Variable y = blocks_(autograd::relu6(norm0_(same_conv(stem_, x))));
  return autograd::relu6(norm1_(conv_head_(y)));
}

Variable EfficientNetLite::forward_head(const Variable& features) {
  const nn::Scope scope(*this);
  return fc_(autograd::flatten(autograd::adaptive_avg_pool2d(features, 1, 1), 1));
}

void EfficientNetLite::build(CnnBuilder& plan) const {
  int y = plan.conv(CnnBuilder::kInput, stem_, norm0_, Activation::relu6, -1, kSame);
  for (const auto& [key, block] : blocks_.children())
    y = static_cast<const InvertedResidual*>(block)->build(plan, y);
  plan.conv(y, conv_head_, norm1_, Activation::relu6);
}

std::vector<std::vector<nn::Module*>> EfficientNetLite::stages() {
  std::vector<std::vector<nn::Module*>> result{{&stem_, &norm0_}};
  size_t next = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (next < blocks_.stage_starts.size() && i == blocks_.stage_starts[next]) {
      result.emplace_back();
      ++next;
    }
    result.back().push_back(&blocks_[i]);
  }
  result.back().push_back(&conv_head_);
  result.back().push_back(&norm1_);
  return result;
}

}  // namespace imgcap
