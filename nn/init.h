// Initial values of parameters. All draw from an explicit generator, in the order of the calls, and give f32
// and f64 tensors the same numbers.
#pragma once

#include "tensor/random.h"
#include "tensor/tensor.h"

namespace nn {

using tensor::Generator;

// While one lives, what is random on this thread stays undefined: for modules whose state dict follows, since
// ten million random numbers take longer than captioning a photo.
class SkipInit {
 public:
  SkipInit();
  ~SkipInit();
  SkipInit(const SkipInit&) = delete;
  SkipInit& operator=(const SkipInit&) = delete;
};

namespace init {

using tensor::Shape;
using tensor::Tensor;

// Connections into and out of one unit of a weight (out, in) or (out, in / groups, kh, kw). A shape error for
// fewer than two dimensions.
struct Fans {
  int64_t in = 0, out = 0;
};
Fans fans(const Shape& weight);

void constant(Tensor& t, double value);
void uniform(Tensor& t, double low, double high, Generator& generator);    // U[low, high)
void normal(Tensor& t, double mean, double stddev, Generator& generator);  // N(mean, stddev^2)
// U(-b, b), b = sqrt(6 / (fans.in + fans.out)): Glorot and Bengio 2010.
void xavier_uniform(Tensor& weight, Generator& generator);
// U(-b, b), b = gain sqrt(3 / fans.in), gain = sqrt(2 / (1 + a^2)) for a leaky ReLU of slope a: He et al.
// 2015.
void kaiming_uniform(Tensor& weight, double a, Generator& generator);
// N(0, 2 / fans.out): what torchvision's ResNets begin with.
void kaiming_normal_fan_out(Tensor& weight, Generator& generator);

// What PyTorch gives Linear and Conv2d: the weight kaiming_uniform with a = sqrt(5), which is U(-b, b) with
// b = 1 / sqrt(fans.in), and the bias, when it is defined, the same.
void default_weight(Tensor& weight, Generator& generator);
void default_bias(Tensor& bias, const Tensor& weight, Generator& generator);
// Such a bias (out), made anew.
Tensor new_bias(const Tensor& weight, Generator& generator);

}  // namespace init
}  // namespace nn
