// A convolutional network for inference only: a list of steps compiled from modules, with batch norm folded
// into the convolutions and activations and residual additions done by them. No graph, no gradients; f32.
#pragma once

#include <cstdint>
#include <vector>

#include "imgcap/models/cnn_builder.h"
#include "tensor/nhwc.h"

namespace imgcap {

class FrozenCnn final : public CnnBuilder {
 public:
  // Copies the weights.
  int conv(int x, const nn::Conv2d& conv, const nn::BatchNorm2d& norm, Activation activation,
           int residual = -1, Padding padding = Padding::fixed) override;
  int max_pool(int x, const tensor::Pool2dOptions& options) override;

  // The last step's result (n, c, oh, ow), with strides of channels last, for x (n, c, h, w) f32 with any
  // strides. A picture's features do not depend on the batch it is in, nor on the number of threads. May be
  // called by several threads.
  Tensor run(const Tensor& x) const;

 private:
  struct Step {
    int x, residual = -1;
    int conv = -1;  // index in convs_, or a max pool
    Conv2dOptions options;
    Padding padding = Padding::fixed;
    tensor::Pool2dOptions pool;
    Activation activation = Activation::none;
  };
  Conv2dOptions options_of(const Step& step, const Shape& input) const;
  tensor::NhwcBatch run_chunk(const Tensor& x) const;

  std::vector<tensor::PackedConv2d> convs_;
  std::vector<Step> steps_;
};

}  // namespace imgcap
