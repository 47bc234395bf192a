#include "nn/sequential.h"

#include "tensor/error.h"

namespace nn {

void Sequential::push_back(std::unique_ptr<Layer> layer) {
  tensor::check(layer != nullptr, ErrorKind::argument, "Sequential: layer {} is null", layers_.size());
  layers_.push_back(&own(std::to_string(size()), std::move(layer)));
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (Layer* layer : layers_) y = (*layer)(y);
  return y;
}

Layer& Sequential::operator[](size_t i) {
  tensor::check(i < layers_.size(), ErrorKind::index, "Sequential: layer {} of {}", i, layers_.size());
  return *layers_[i];
}

}  // namespace nn
