// Layers one after another.
#pragma once

#include "nn/module.h"

namespace nn {

// The children are named "0", "1", ... as in PyTorch.
//
//   nn::Sequential head;
//   head.emplace<nn::Linear>(2048, 1024);
//   head.emplace<nn::ReLU>();
class Sequential : public Layer {
 public:
  // Makes a layer at the end.
  template <class L, class... Args>
  L& emplace(Args&&... args) {
    L& layer = add<L>(std::to_string(size()), std::forward<Args>(args)...);
    layers_.push_back(&layer);
    return layer;
  }
  void push_back(std::unique_ptr<Layer> layer);

  Variable forward(const Variable& x) override;
  std::string describe() const override { return "Sequential()"; }
  size_t size() const { return layers_.size(); }
  // An index error when there is no layer i.
  Layer& operator[](size_t i);

 private:
  std::vector<Layer*> layers_;
};

}  // namespace nn
