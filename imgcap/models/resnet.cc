#include "imgcap/models/resnet.h"

#include "autograd/ops.h"
#include "nn/init.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

struct Definition {
  int depth;
  bool bottleneck;
  std::array<int, 4> blocks;
};
// N(0, 2 / fan out) as in He et al. 2015.
constexpr nn::Conv2d::Initialiser* kInitial = nn::init::kaiming_normal_fan_out;

constexpr Definition kDefinitions[] = {{18, false, {2, 2, 2, 2}},
                                       {34, false, {3, 4, 6, 3}},
                                       {50, true, {3, 4, 6, 3}},
                                       {101, true, {3, 4, 23, 3}}};

const Definition& definition(int depth) {
  for (const Definition& d : kDefinitions)
    if (d.depth == depth) return d;
  tensor::fail(tensor::ErrorKind::argument, "resnet: depth {} is not 18, 34, 50 or 101", depth);
}

}  // namespace

ResidualBlock::ResidualBlock(int64_t in, int64_t width, int64_t stride, bool bottleneck)
    : bottleneck_(bottleneck), out_(bottleneck ? 4 * width : width) {
  const auto add_conv = [&](int64_t from, int64_t to, int64_t kernel, int64_t conv_stride) {
    const auto number = convs_.size() + 1;
    convs_.push_back(&add<nn::Conv2d>(tensor::format("conv{}", number), from, to, kernel,
                                      nn::conv2d_options(conv_stride, kernel / 2), kInitial));
    norms_.push_back(&add<nn::BatchNorm2d>(tensor::format("bn{}", number), to));
  };
  if (bottleneck) {
    add_conv(in, width, 1, 1);
    add_conv(width, width, 3, stride);
    add_conv(width, out_, 1, 1);
  } else {
    add_conv(in, width, 3, stride);
    add_conv(width, out_, 3, 1);
  }
  if (stride == 1 && in == out_) return;
  downsample_ = &add<nn::Sequential>("downsample");
  shortcut_ = &downsample_->emplace<nn::Conv2d>(in, out_, 1, nn::conv2d_options(stride), kInitial);
  shortcut_norm_ = &downsample_->emplace<nn::BatchNorm2d>(out_);
}

Variable ResidualBlock::forward(const Variable& x) {
  Variable y = x;
  for (size_t i = 0; i < convs_.size(); ++i) {
    y = (*norms_[i])((*convs_[i])(y));
    if (i + 1 < convs_.size()) y = autograd::relu(y);
  }
  return autograd::relu(y + (downsample_ != nullptr ? (*downsample_)(x) : x));
}

int ResidualBlock::build(CnnBuilder& plan, int x) const {
  const int shortcut =
      downsample_ != nullptr ? plan.conv(x, *shortcut_, *shortcut_norm_, Activation::none) : x;
  int y = x;
  for (size_t i = 0; i < convs_.size(); ++i)
    y = plan.conv(y, *convs_[i], *norms_[i], Activation::relu, i + 1 < convs_.size() ? -1 : shortcut);
  return y;
}

ResNet::ResNet(int depth, int64_t classes)
    : depth_(definition(depth).depth),
      classes_(classes),
      conv1_(add<nn::Conv2d>("conv1", 3, channels_, 7, nn::conv2d_options(2, 3), kInitial)),
      bn1_(add<nn::BatchNorm2d>("bn1", channels_)),
      layers_(add_layers()),
      fc_(add<nn::Linear>("fc", channels_, classes)) {}

std::array<nn::Sequential*, 4> ResNet::add_layers() {
  const Definition& d = definition(depth_);
  std::array<nn::Sequential*, 4> layers{};
  for (size_t stage = 0; stage < layers.size(); ++stage) {
    layers[stage] = &add<nn::Sequential>(tensor::format("layer{}", stage + 1));
    for (int block = 0; block < d.blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      channels_ = layers[stage]
                      ->emplace<ResidualBlock>(channels_, int64_t{64} << stage, stride, d.bottleneck)
                      .out_channels();
    }
  }
  return layers;
}

Variable ResNet::forward_head(const Variable& features) {
  const nn::Scope scope(*this);
  return fc_(autograd::flatten(autograd::adaptive_avg_pool2d(features, 1, 1), 1));
}

std::vector<Encoder::Stage> ResNet::stages() const {
  const int64_t first = conv1_.weight().size(0), widest = channels_;
  return {{3, {&conv1_, &bn1_}},
          {first, {layers_[0]}},
          {widest / 8, {layers_[1]}},
          {widest / 4, {layers_[2]}},
          {widest / 2, {layers_[3]}}};
}

Variable ResNet::forward_stage(size_t stage, const Variable& x) {
  if (stage == 0) return autograd::relu(bn1_(conv1_(x)));
  return (*layers_[stage - 1])(stage == 1 ? maxpool_(x) : x);
}

int ResNet::build_stage(size_t stage, CnnBuilder& plan, int x) const {
  if (stage == 0) return plan.conv(x, conv1_, bn1_, Activation::relu);
  int y = stage == 1 ? plan.max_pool(x, maxpool_.options()) : x;
  for (const auto& [key, block] : layers_[stage - 1]->children())
    y = static_cast<const ResidualBlock*>(block)->build(plan, y);
  return y;
}

}  // namespace imgcap
