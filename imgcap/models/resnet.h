// Residual networks (He et al. 2016), "version 1.5": the stride of a bottleneck is in its 3x3 convolution.
#pragma once

#include <array>
#include <vector>

#include "imgcap/models/encoder.h"
#include "nn/linear.h"
#include "nn/pool.h"
#include "nn/sequential.h"
#include "tensor/format.h"

namespace imgcap {

// relu(body(x) + shortcut(x)): the body is two 3x3 convolutions, or 1x1, 3x3, 1x1 (a bottleneck, four times
// as wide at its end). The shortcut is a 1x1 convolution where the shape changes. Names: conv1, bn1, ...,
// downsample.0, downsample.1.
class ResidualBlock : public nn::Layer {
 public:
  ResidualBlock(int64_t in, int64_t width, int64_t stride, bool bottleneck);
  Variable forward(const Variable& x) override;
  std::string describe() const override { return bottleneck_ ? "Bottleneck" : "BasicBlock"; }
  int build(CnnBuilder& plan, int x) const;
  int64_t out_channels() const { return out_; }

 private:
  bool bottleneck_;
  int64_t out_;
  std::vector<nn::Conv2d*> convs_;
  std::vector<nn::BatchNorm2d*> norms_;
  nn::Sequential* downsample_ = nullptr;  // null where the shape stays
  const nn::Conv2d* shortcut_ = nullptr;
  const nn::BatchNorm2d* shortcut_norm_ = nullptr;
};

// torchvision's resnet18, 34, 50 and 101, with its parameter names.
class ResNet : public Encoder {
 public:
  explicit ResNet(int depth, int64_t classes = 1000);

  std::string name() const override { return tensor::format("resnet{}", depth_); }
  std::string describe() const override { return "ResNet"; }
  Preprocessing preprocessing() const override { return imagenet_preprocessing(); }
  int64_t feature_channels() const override { return channels_; }
  int64_t classes() const override { return classes_; }
  Variable forward_head(const Variable& features) override;

 protected:
  std::vector<Stage> stages() const override;
  Variable forward_stage(size_t stage, const Variable& x) override;
  int build_stage(size_t stage, CnnBuilder& plan, int x) const override;
  nn::Module& head() override { return fc_; }

 private:
  // layer1 to layer4; counts the channels.
  std::array<nn::Sequential*, 4> add_layers();

  int depth_;
  int64_t classes_, channels_ = 64;
  nn::Conv2d& conv1_;
  nn::BatchNorm2d& bn1_;
  nn::MaxPool2d maxpool_{3, 2, 1};
  std::array<nn::Sequential*, 4> layers_;
  nn::Linear& fc_;
};

}  // namespace imgcap
