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
    if (size() == 0 || group.stride == 2) starts.push_back({size(), out_channels});
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

Variable EfficientNetLite::forward_head(const Variable& features) {
  const nn::Scope scope(*this);
  return fc_(autograd::flatten(autograd::adaptive_avg_pool2d(features, 1, 1), 1));
}

std::vector<Encoder::Stage> EfficientNetLite::stages() const {
  std::vector<Stage> result;
  for (size_t stage = 0; stage < blocks_.starts.size(); ++stage) {
    result.push_back({blocks_.starts[stage].channels, {}});
    for (size_t i = blocks_.starts[stage].block; i < blocks_.end_of(stage); ++i)
      result.back().modules.push_back(&blocks_[i]);
  }
  result.front().in_channels = 3;
  result.front().modules.insert(result.front().modules.end(), {&stem_, &norm0_});
  result.back().modules.insert(result.back().modules.end(), {&conv_head_, &norm1_});
  return result;
}

Variable EfficientNetLite::forward_stage(size_t stage, const Variable& x) {
  Variable y = stage == 0 ? autograd::relu6(norm0_(same_conv(stem_, x))) : x;
  {
    const nn::Scope scope(blocks_);
    for (size_t i = blocks_.starts[stage].block; i < blocks_.end_of(stage); ++i) y = blocks_[i](y);
  }
  return stage + 1 < blocks_.starts.size() ? y : autograd::relu6(norm1_(conv_head_(y)));
}

int EfficientNetLite::build_stage(size_t stage, CnnBuilder& plan, int x) const {
  int y = stage == 0 ? plan.conv(x, stem_, norm0_, Activation::relu6, -1, kSame) : x;
  for (size_t i = blocks_.starts[stage].block; i < blocks_.end_of(stage); ++i)
    y = static_cast<const InvertedResidual&>(blocks_[i]).build(plan, y);
  return stage + 1 < blocks_.starts.size() ? y : plan.conv(y, conv_head_, norm1_, Activation::relu6);
}

}  // namespace imgcap
