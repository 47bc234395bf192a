// The layers of an encoder as a list of steps, for whoever makes something of them: a frozen network here, an
// ONNX graph elsewhere. Encoders name their steps once (Encoder::build).
#pragma once

#include <cstdint>
#include <vector>

#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "tensor/kernel_options.h"

namespace imgcap {

using tensor::Activation;
using tensor::Conv2dOptions;
using tensor::Shape;
using tensor::Tensor;

// `options` with TensorFlow's "same" padding for an input of h x w: the output has ceil(size / stride) rows
// and columns; where the padding is odd, the smaller half is at the top and left.
Conv2dOptions same_padding(Conv2dOptions options, int64_t kernel_h, int64_t kernel_w, int64_t h, int64_t w);

// conv and its norm as one convolution: output channel o of the weight is multiplied by scale[o], and bias[o]
// is added.
struct FoldedNorm {
  std::vector<double> scale, bias;
};
FoldedNorm fold(const nn::Conv2d& conv, const nn::BatchNorm2d& norm);

class CnnBuilder {
 public:
  enum class Padding { fixed, same };

  // The number of the network's input, for the steps below; each returns the number of its result.
  static constexpr int kInput = 0;

  virtual ~CnnBuilder() = default;
  // activation(norm(conv(x)) + residual); `residual` is a result's number or -1. The weights count as they
  // are now.
  virtual int conv(int x, const nn::Conv2d& conv, const nn::BatchNorm2d& norm, Activation activation,
                   int residual = -1, Padding padding = Padding::fixed) = 0;
  virtual int max_pool(int x, const tensor::Pool2dOptions& options) = 0;
};

}  // namespace imgcap
