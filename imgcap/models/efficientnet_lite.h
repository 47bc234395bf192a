// EfficientNet-Lite2: Google's EfficientNet (Tan and Le 2019) without squeeze-and-excitation and with ReLU6.
#pragma once

#include <vector>

#include "imgcap/models/encoder.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "tensor/format.h"

namespace imgcap {

// An inverted residual: 1x1 expansion (unless its factor is 1), depthwise k x k, 1x1 projection, each with
// batch norm; ReLU6 after the first two. The input is added where the shape stays.
class InvertedResidual : public nn::Layer {
 public:
  InvertedResidual(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t expansion);
  Variable forward(const Variable& x) override;
  std::string describe() const override { return "MBConvBlock"; }
  int build(CnnBuilder& plan, int x) const;

 private:
  bool residual_;
  nn::Conv2d* expand_;  // with norm0_; null where the factor is 1
  nn::BatchNorm2d* norm0_;
  nn::Conv2d& depthwise_;
  nn::BatchNorm2d& norm1_;
  nn::Conv2d& project_;
  nn::BatchNorm2d& norm2_;
};

// Names as in EfficientNet-PyTorch: _conv_stem, _bn0, _blocks.N._expand_conv, ..., _conv_head, _bn1, _fc.
// Padding is TensorFlow's "same" for the size of each input.
class EfficientNetLite : public Encoder {
 public:
  explicit EfficientNetLite(int64_t classes = 1000);

  std::string name() const override { return "efficientnet_lite2"; }
  std::string describe() const override { return "EfficientNetLite"; }
  Preprocessing preprocessing() const override { return efficientnet_lite_preprocessing(); }
  int64_t feature_channels() const override { return 1280; }
  int64_t classes() const override { return classes_; }
  Variable forward_head(const Variable& features) override;

 protected:
  std::vector<Stage> stages() const override;
  Variable forward_stage(size_t stage, const Variable& x) override;
  int build_stage(size_t stage, CnnBuilder& plan, int x) const override;
  nn::Module& head() override { return fc_; }

 private:
  // The inverted residuals, "0", "1", ...
  class Blocks : public nn::Sequential {
   public:
    Blocks();
    std::string describe() const override { return "ModuleList"; }
    int64_t out_channels = 0;
    struct Start {
      size_t block;
      int64_t channels;  // that it takes
    };
    std::vector<Start> starts;  // of each stage: the first block, and where the stride is 2
    size_t end_of(size_t stage) const { return stage + 1 < starts.size() ? starts[stage + 1].block : size(); }
  };

  int64_t classes_;
  nn::Conv2d& stem_;
  nn::BatchNorm2d& norm0_;
  Blocks& blocks_;
  nn::Conv2d& conv_head_;
  nn::BatchNorm2d& norm1_;
  nn::Linear& fc_;
};

}  // namespace imgcap
