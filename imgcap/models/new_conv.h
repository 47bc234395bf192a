// A convolution without bias, as the encoders use them.
#pragma once

#include <memory>

#include "nn/conv2d.h"

namespace imgcap {

// N(0, 2 / fan out) as in He et al. 2015.
inline std::unique_ptr<nn::Conv2d> new_conv(int64_t in, int64_t out, int64_t kernel,
                                            const tensor::Conv2dOptions& options) {
  auto conv = std::make_unique<nn::Conv2d>(in, out, kernel, options, nn::Conv2d::Uninitialized{});
  nn::init::kaiming_normal_fan_out(conv->weight().mutable_data(), tensor::default_generator());
  return conv;
}

}  // namespace imgcap
