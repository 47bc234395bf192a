// What turns a picture into a grid of features: the interface that all encoders share.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "imgcap/data/transform.h"
#include "imgcap/models/frozen_cnn.h"
#include "nn/module.h"

namespace imgcap {

using autograd::Variable;

// A classifier of photos whose last grid of features is what captions are made from.
//
//   auto encoder = make_encoder("efficientnet_lite2");
//   encoder->load_state_dict(tensor::io::read_safetensors(path).tensors);
//   encoder->freeze();
//   Tensor grid = encoder->features(photos);  // (n, 1280, 7, 7) for (n, 3, 224, 224)
class Encoder : public nn::Module {
 public:
  virtual std::string name() const = 0;             // as make_encoder takes it
  virtual Preprocessing preprocessing() const = 0;  // what it was trained with
  virtual int64_t feature_channels() const = 0;
  virtual int64_t classes() const = 0;
  // The name of the classifier, a linear layer that features() does without: "fc".
  std::string classifier();

  // Features are made in stages; one ends where the grid gets smaller.
  int stage_count() const { return static_cast<int>(stages().size()); }
  // What the features' last `stages` stages take: 3 for all of them. Errors: argument (there are not that many).
  int64_t channels_before(int stages) const;

  // With a graph where parameters are trained: x (n, 3, h, w) -> (n, feature_channels, h', w').
  Variable forward_features(const Variable& x) { return forward_last(stage_count(), x); }
  // The last `stages` stages alone: x (n, channels_before, h, w) is what those before them give. Errors: argument.
  Variable forward_last(int stages, const Variable& x);
  // Features -> (n, classes) logits.
  virtual Variable forward_head(const Variable& features) = 0;
  // The steps of forward_features, with batch norm in evaluation mode, without those of the last `left_out`
  // stages. Errors: argument.
  void build(CnnBuilder& plan, int left_out = 0) const;
  Variable forward(const Variable& x) { return forward_head(forward_features(x)); }

  // Rows and columns of the grid for pictures of h x w: each stage halves them, rounding up.
  struct Grid {
    int64_t rows, columns;
  };
  static Grid grid(int64_t h, int64_t w, int left_out = 0) {
    const int64_t by = int64_t{1} << (kStages - left_out);
    return {(h + by - 1) / by, (w + by - 1) / by};
  }

  // Without a graph: features of pictures (n, 3, h, w) that are preprocessed, or what the last `left_out` stages
  // take. A frozen encoder runs as a FrozenCnn, compiled at the first call and again when weights or the
  // arithmetic have changed; several threads may then call this at once. Its result has the strides of channels
  // last: permute({0, 2, 3, 1}) is contiguous. Other encoders run in their mode. Pictures are on the encoder's device,
  // and so is the result, which is not waited for there. Errors: shape, argument, device.
  Tensor features(const Tensor& pictures, int left_out = 0);
  // Of a frozen encoder: compiles now what features() would at its first call.
  void compile() {
    if (frozen()) plan(0);
  }
  // What a frozen encoder of f32 weights computes in, f32, f16 or bf16 (with f32 sums); its features are f32 in each
  // case. Errors: argument (another type).
  void set_arithmetic(tensor::DType dtype);
  tensor::DType arithmetic() const { return arithmetic_; }
  // Where its weights are; to(device) moves them.
  tensor::Device device() const;
  // Without a graph: probabilities (n, classes).
  Tensor classify(const Tensor& pictures);
  // One picture, resized and normalised: (1, 3, height, width).
  Tensor preprocess(const Image& picture) const { return preprocess(picture, preprocessing()); }
  static Tensor preprocess(const Image& picture, const Preprocessing& how);

  // Trains the last `stages` stages (0: none) and freezes all before them and the classifier. Errors: argument
  // (there are not that many).
  void finetune(int stages);

 protected:
  // A step from one grid to the next, counted from the input.
  struct Stage {
    int64_t in_channels;
    std::vector<nn::Module*> modules;  // all that it uses
  };
  static constexpr int kStages = 5;
  virtual std::vector<Stage> stages() const = 0;
  virtual Variable forward_stage(size_t stage, const Variable& x) = 0;
  // The number of its result.
  virtual int build_stage(size_t stage, CnnBuilder& plan, int x) const = 0;
  virtual nn::Module& head() = 0;

 private:
  struct Plan {
    int left_out = 0;
    std::shared_ptr<const FrozenCnn> network;
    // What it was made from, and its version then. Held, so that no other tensor takes its place in memory.
    std::vector<std::pair<Tensor, uint64_t>> state;
  };
  bool is_of_today(const Plan& plan) const;
  std::shared_ptr<const FrozenCnn> plan(int left_out);
  size_t first_of_last(int stages) const;

  std::atomic<tensor::DType> arithmetic_ = tensor::DType::f32;
  std::mutex mutex_;
  Plan plan_;  // the last that was asked for
};

// "resnet18", "resnet34", "resnet50", "resnet101" or "efficientnet_lite2". `initialize` false leaves most
// weights undefined for a state dict that follows: random numbers for 25 million weights take time. An
// argument error lists the names.
std::unique_ptr<Encoder> make_encoder(std::string_view name, bool initialize = true, int64_t classes = 1000);
std::vector<std::string> encoder_names();

}  // namespace imgcap
