#include "nn/sequential.h"

#include "tensor/error.h"

namespace nn {

void Sequential::push_back(std::unique_ptr<Layer> layer) {
  tensor::check(layer != nullptr, ErrorKind::argument, "Sequential: layer {} is null", layers_.size());
  register_module(std::to_string(layers_.size()), *layer);
  layers_.push_back(std::move(layer));
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (const auto& layer : layers_) y = (*layer)(y);
  return y;
}

Layer& Sequential::operator[](size_t i) {
  tensor::check(i < layers_.size(), ErrorKind::index, "Sequential: layer {} of {}", i, layers_.size());
  return *layers_[i];
}

}  // namespace nn
