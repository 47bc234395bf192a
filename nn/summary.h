// What a model is made of, with the shapes that an input takes on its way through.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/module.h"

namespace nn {

struct LayerSummary {
  std::string name;      // "layer1.0.conv1"; empty for the module itself
  std::string describe;  // "Conv2d(64, 64, ...)"; of a container its class alone
  int depth = 0;
  std::vector<Shape> outputs;  // of each call, in order; empty when it was not called
  int64_t parameters = 0;      // its own, without its children's
  int64_t trainable = 0;
};

// All modules below `module`, and the shapes of what they gave while `run` ran (without a graph). A module is
// seen when it is called by its operator() or opens an nn::Scope in its forward function.
std::vector<LayerSummary> layer_summaries(Module& module, const std::function<void()>& run);

// The same as a table for people, with the totals:
//
//   layer                 output          parameters
//   ResNet18
//     conv1  Conv2d(...)  (1, 64, 112, 112)  9,408
std::string summary(Module& module, const std::function<void()>& run);

// For a module that is called with one variable.
template <class M>
std::string summary(M& module, const Variable& input) {
  return summary(module, [&] { static_cast<void>(module(input)); });
}

}  // namespace nn
