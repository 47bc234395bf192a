#include "nn/summary.h"

#include <algorithm>
#include <map>
#include <set>

#include "autograd/node.h"
#include "tensor/format.h"

namespace nn {
namespace {

// What each scope gave: the last op's result when it is left.
class Watcher final : public autograd::Observer {
 public:
  void op(const autograd::Node*, const std::vector<Tensor>& outputs, const autograd::Variables&) override {
    if (!outputs.empty()) last_ = outputs.front().shape();
  }
  void scope_left() override { shapes_[autograd::current_scope()].push_back(last_); }

  const std::map<std::string, std::vector<Shape>>& shapes() const { return shapes_; }

 private:
  Shape last_;
  std::map<std::string, std::vector<Shape>> shapes_;
};

std::string with_commas(int64_t n) {
  std::string digits = std::to_string(n);
  for (auto i = static_cast<int64_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<size_t>(i), ",");
  return digits;
}

std::string shapes_text(const std::vector<Shape>& outputs) {
  if (outputs.empty()) return "-";
  const bool alike =
      std::all_of(outputs.begin(), outputs.end(), [&](const Shape& s) { return s == outputs[0]; });
  const std::string first = to_string(outputs.front());
  if (outputs.size() == 1) return first;
  return alike ? tensor::format("{} x {}", first, outputs.size())
               : tensor::format("{} ... {}, {} calls", first, to_string(outputs.back()), outputs.size());
}

}  // namespace

std::vector<LayerSummary> layer_summaries(Module& module, const std::function<void()>& run) {
  Watcher watcher;
  {
    const autograd::NoGrad no_grad;
    run();
  }
  // The scopes begin with the module's own name, and with what is around the call.
  const std::string outside = autograd::current_scope();
  const std::string root = (outside.empty() ? "" : outside + ".") + module.scope_name();
  std::vector<LayerSummary> layers;
  std::set<const void*> counted;  // a tied parameter belongs to the first that has it
  for (const auto& [name, child] : module.named_modules()) {
    LayerSummary layer;
    layer.name = name;
    layer.describe = child->describe();
    if (!child->children().empty()) layer.describe = layer.describe.substr(0, layer.describe.find('('));
    layer.depth = name.empty() ? 0 : 1 + static_cast<int>(std::count(name.begin(), name.end(), '.'));
    for (const std::string& scope : {name.empty() ? root : root + "." + name, name})
      if (const auto found = watcher.shapes().find(scope);
          found != watcher.shapes().end() && !scope.empty()) {
        layer.outputs = found->second;
        break;
      }
    for (const auto& [parameter_name, parameter] : child->named_parameters()) {
      if (parameter_name.find('.') != std::string::npos || !counted.insert(&parameter.data()).second)
        continue;
      layer.parameters += parameter.numel();
      if (parameter.requires_grad()) layer.trainable += parameter.numel();
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::string summary(Module& module, const std::function<void()>& run) {
  const std::vector<LayerSummary> layers = layer_summaries(module, run);
  std::vector<std::string> titles, shapes;
  size_t title_width = 5, shape_width = 6;
  int64_t parameters = 0, trainable = 0;
  for (const LayerSummary& layer : layers) {
    const size_t dot = layer.name.rfind('.');
    const std::string own = dot == std::string::npos ? layer.name : layer.name.substr(dot + 1);
    titles.push_back(std::string(static_cast<size_t>(2 * layer.depth), ' ') +
                     (own.empty() ? "" : own + ": ") + layer.describe);
    shapes.push_back(shapes_text(layer.outputs));
    title_width = std::max(title_width, titles.back().size());
    shape_width = std::max(shape_width, shapes.back().size());
    parameters += layer.parameters;
    trainable += layer.trainable;
  }
  std::string text =
      tensor::format("{:<{}}  {:<{}}  {:>12}\n", "layer", title_width, "output", shape_width, "parameters");
  for (size_t i = 0; i < layers.size(); ++i)
    text += tensor::format("{:<{}}  {:<{}}  {:>12}\n", titles[i], title_width, shapes[i], shape_width,
                           layers[i].parameters == 0 ? "-" : with_commas(layers[i].parameters));
  return text + tensor::format("{} parameters, {} of them trainable\n", with_commas(parameters),
                               with_commas(trainable));
}

}  // namespace nn
