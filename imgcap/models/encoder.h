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

  // With a graph where parameters are trained: x (n, 3, h, w) -> (n, feature_channels, h', w').
  virtual Variable forward_features(const Variable& x) = 0;
  // Features -> (n, classes) logits.
  virtual Variable forward_head(const Variable& features) = 0;
  // The steps of forward_features, with batch norm in evaluation mode.
  virtual void build(CnnBuilder& plan) const = 0;
  Variable forward(const Variable& x) { return forward_head(forward_features(x)); }

  // Rows and columns of the grid for pictures of h x w: the encoders halve them five times, rounding up.
  struct Grid {
    int64_t rows, columns;
  };
  static Grid grid(int64_t h, int64_t w) { return {(h + 31) / 32, (w + 31) / 32}; }

  // Without a graph: features of pictures (n, 3, h, w) that are preprocessed. A frozen encoder runs as a
  // FrozenCnn, compiled at the first call and again when weights or the arithmetic have changed; several
  // threads may then call this at once. Its result has the strides of channels last: permute({0, 2, 3, 1}) is
  // contiguous. Other encoders run in their mode.
  Tensor features(const Tensor& pictures);
  // Of a frozen encoder: compiles now what features() would at its first call.
  void compile() {
    if (frozen()) plan();
  }
  // What a frozen encoder of f32 weights computes in, f32 or bf16 (with f32 sums); its features are f32 in either
  // case. Errors: argument (another type).
  void set_arithmetic(tensor::DType dtype);
  tensor::DType arithmetic() const { return arithmetic_; }
  // Without a graph: probabilities (n, classes).
  Tensor classify(const Tensor& pictures);
  // One picture, resized and normalised: (1, 3, height, width).
  Tensor preprocess(const Image& picture) const;

  // Trains the last `stages` stages (0: none; a stage ends where the grid gets smaller) and freezes all
  // before them and the classifier. An argument error when there are not that many.
  void finetune(int stages);

 protected:
  // From input to output, all that forward_features uses.
  virtual std::vector<std::vector<nn::Module*>> stages() = 0;
  virtual nn::Module& head() = 0;

 private:
  bool plan_is_of_today() const;
  std::shared_ptr<const FrozenCnn> plan();

  std::atomic<tensor::DType> arithmetic_ = tensor::DType::f32;
  std::mutex mutex_;
  std::shared_ptr<const FrozenCnn> plan_;
  // What the plan was made from, and its version then. Held, so that no other tensor takes its place in
  // memory.
  std::vector<std::pair<Tensor, uint64_t>> plan_state_;
};

// "resnet18", "resnet34", "resnet50", "resnet101" or "efficientnet_lite2". `initialize` false leaves most
// weights undefined for a state dict that follows: random numbers for 25 million weights take time. An
// argument error lists the names.
std::unique_ptr<Encoder> make_encoder(std::string_view name, bool initialize = true, int64_t classes = 1000);
std::vector<std::string> encoder_names();

}  // namespace imgcap
