// A convolutional network for inference only: a list of steps compiled from modules, with batch norm folded
// into the convolutions and activations and residual additions done by them. No graph, no gradients.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "imgcap/models/cnn_builder.h"
#include "tensor/nhwc.h"

namespace imgcap {

class FrozenCnn final : public CnnBuilder {
 public:
  // What a device has under way at once, in bytes, beside the weights.
  static constexpr int64_t kDeviceBytes = int64_t{1} << 29;

  // With 16 bits, weights and what passes between steps are rounded to them; sums and the result are f32. Errors:
  // argument (another type than f32, f16 and bf16).
  explicit FrozenCnn(tensor::DType arithmetic = tensor::DType::f32, int64_t device_bytes = kDeviceBytes);

  tensor::DType arithmetic() const { return arithmetic_; }

  // Copies the weights.
  int conv(int x, const nn::Conv2d& conv, const nn::BatchNorm2d& norm, Activation activation,
           int residual = -1, Padding padding = Padding::fixed) override;
  int max_pool(int x, const tensor::Pool2dOptions& options) override;

  // The last step's result (n, c, oh, ow) f32, with strides of channels last, for x (n, c, h, w) f32 with any
  // strides, on the device of the modules; the result is there, too. On the CPU a picture's features do not depend on
  // the batch it is in, nor on the number of threads. A device is not waited for; it takes as many pictures at once as
  // have room in the bytes that it may take. May be called by several threads.
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
  // What follows from the size of a picture; result 0 is the input.
  struct Sizes {
    std::vector<Shape> shapes;            // of results, for one picture
    std::vector<tensor::Border> borders;  // that the readers of a result want
    std::vector<size_t> last_use;         // the last step that reads a result
    std::vector<Conv2dOptions> options;   // of steps
  };
  const tensor::PackedConv2d& conv_of(const Step& step) const {
    return convs_[static_cast<size_t>(step.conv)];
  }
  Sizes find_sizes(int64_t channels, int64_t h, int64_t w) const;
  // The same, kept; when it is the first time, the convolutions are made ready for that size, too.
  std::shared_ptr<const Sizes> sizes_for(int64_t channels, int64_t h, int64_t w) const;
  // Of one picture, on its way through all steps, at the most.
  int64_t most_bytes(const Sizes& sizes) const;
  tensor::NhwcBatch run_together(const Tensor& x, const Sizes& sizes) const;

  tensor::DType arithmetic_;
  int64_t device_bytes_;
  mutable std::mutex mutex_;
  mutable std::map<std::array<int64_t, 3>, std::shared_ptr<const Sizes>> sizes_;  // by channels, h, w
  std::vector<tensor::PackedConv2d> convs_;
  std::vector<Step> steps_;
};

}  // namespace imgcap
