// Layers one after another.
#pragma once

#include <memory>

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
    auto layer = std::make_unique<L>(std::forward<Args>(args)...);
    L& result = *layer;
    push_back(std::move(layer));
    return result;
  }
  void push_back(std::unique_ptr<Layer> layer);

  Variable forward(const Variable& x) override;
  std::string describe() const override { return "Sequential()"; }
  size_t size() const { return layers_.size(); }
  // An index error when there is no layer i.
  Layer& operator[](size_t i);

 private:
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace nn
