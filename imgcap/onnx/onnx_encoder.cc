#include "imgcap/onnx/onnx_encoder.h"

#include "tensor/error.h"
#include "tensor/window.h"

namespace imgcap {
namespace {

using tensor::Tensor;

// weight[o] * scale[o], rounded once: as in the frozen network.
Tensor scaled(const Tensor& weight, const std::vector<double>& scale) {
  const Tensor source = weight.to(tensor::DType::f32).contiguous();
  Tensor result = Tensor::empty(source.shape());
  const float* from = source.data<float>();
  float* to = result.mutable_data<float>();
  const int64_t row = source.numel() / source.size(0);
  for (int64_t i = 0; i < source.numel(); ++i)
    to[i] = static_cast<float>(static_cast<double>(from[i]) * scale[static_cast<size_t>(i / row)]);
  return result;
}

class GraphBuilder final : public CnnBuilder {
 public:
  GraphBuilder(OnnxGraph& graph, const std::string& input, const Shape& shape) : graph_(graph) {
    values_.push_back({input, shape});
  }

  int conv(int x, const nn::Conv2d& conv, const nn::BatchNorm2d& norm, Activation activation, int residual,
           Padding padding) override {
    const Value& in = value(x);
    const Tensor weight = conv.weight().data();
    const Conv2dOptions o =
        padding == Padding::fixed
            ? conv.options()
            : same_padding(conv.options(), weight.size(2), weight.size(3), in.shape[2], in.shape[3]);
    const FoldedNorm folded = fold(conv, norm);
    const std::string name = tensor::format("conv{}", values_.size());
    std::string y = graph_.node("Conv",
                                {in.name, graph_.weight(name + ".weight", scaled(weight, folded.scale)),
                                 graph_.weight(name + ".bias", vector_of(folded.bias))},
                                {{"dilations", std::vector{o.dilation_h, o.dilation_w}},
                                 {"group", o.groups},
                                 {"kernel_shape", std::vector{weight.size(2), weight.size(3)}},
                                 {"pads", std::vector{o.pad_top, o.pad_left, o.pad_bottom, o.pad_right}},
                                 {"strides", std::vector{o.stride_h, o.stride_w}}});
    if (residual >= 0) y = graph_.node("Add", {y, value(residual).name});
    if (activation == Activation::relu) y = graph_.node("Relu", {y});
    if (activation == Activation::relu6)
      y = graph_.node("Clip",
                      {y, graph_.weight("zero", Tensor::scalar(0)), graph_.weight("six", Tensor::scalar(6))});
    return add(y, tensor::conv2d_output_shape(in.shape, weight.shape(), o, "onnx"));
  }

  int max_pool(int x, const tensor::Pool2dOptions& o) override {
    const Value& in = value(x);
    const std::string y = graph_.node("MaxPool", {in.name},
                                      {{"ceil_mode", int64_t{o.ceil_mode}},
                                       {"dilations", std::vector{o.dilation_h, o.dilation_w}},
                                       {"kernel_shape", std::vector{o.kernel_h, o.kernel_w}},
                                       {"pads", std::vector{o.pad_h, o.pad_w, o.pad_h, o.pad_w}},
                                       {"strides", std::vector{o.stride_h, o.stride_w}}});
    return add(y, tensor::pool2d_output_shape(in.shape, o, "onnx"));
  }

  struct Value {
    std::string name;
    Shape shape;  // of one picture
  };
  const Value& last() const { return values_.back(); }

 private:
  const Value& value(int number) const { return values_[static_cast<size_t>(number)]; }
  int add(const std::string& name, const Shape& shape) {
    values_.push_back({name, shape});
    return static_cast<int>(values_.size()) - 1;
  }
  static Tensor vector_of(const std::vector<double>& values) {
    return Tensor::from(std::vector<float>(values.begin(), values.end()),
                        {static_cast<int64_t>(values.size())});
  }

  OnnxGraph& graph_;
  std::vector<Value> values_;
};

}  // namespace

OnnxGraph onnx_encoder(const Encoder& encoder, int64_t height, int64_t width) {
  OnnxGraph graph(encoder.name());
  GraphBuilder builder(graph, graph.input("pixels", {"batch", 3, height, width}), {1, 3, height, width});
  encoder.build(builder);
  const auto& [map, shape] = builder.last();
  const int64_t places = shape[2] * shape[3], channels = shape[1];
  const std::string rows = graph.node("Transpose", {map}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  // 0: as in the input.
  graph.output("features", graph.node("Reshape", {rows, graph.integers({0, places, channels})}),
               {"batch", places, channels});
  return graph;
}

}  // namespace imgcap
