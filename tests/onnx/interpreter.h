// Runs an ONNX graph on this project's tensors: the operators that exported graphs have, and no others.
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "autograd/ops.h"
#include "tests/onnx/onnx_file.h"

namespace tests {

class Interpreter {
 public:
  using Tensor = tensor::Tensor;
  using Values = std::map<std::string, Tensor>;

  explicit Interpreter(const std::filesystem::path& file) : file_(file) {}
  const OnnxFile& file() const { return file_; }
  const std::set<std::string>& ops() const { return ops_; }

  // All outputs by name. Every input has to be given; what a node reads has to be there before it.
  Values run(const Values& inputs) {
    const autograd::NoGrad no_grad;
    Values values = file_.weights;
    for (const OnnxFile::Value& input : file_.inputs) values.emplace(input.name, inputs.at(input.name));
    for (const OnnxFile::Node& node : file_.nodes) {
      std::vector<Tensor> in;
      for (const std::string& name : node.inputs) in.push_back(values.at(name));
      const std::vector<Tensor> out = compute(node, in);
      if (out.size() != node.outputs.size()) throw std::runtime_error(node.name + ": outputs");
      for (size_t i = 0; i < out.size(); ++i)
        if (!values.emplace(node.outputs[i], out[i]).second)
          throw std::runtime_error(node.outputs[i] + ": made twice");
      ops_.insert(node.op);
    }
    Values outputs;
    for (const OnnxFile::Value& output : file_.outputs) outputs[output.name] = values.at(output.name);
    return outputs;
  }

 private:
  static int dim_of(int64_t dim, int64_t rank) { return static_cast<int>(dim < 0 ? dim + rank : dim); }

  // Gather along the first dimension, which is the only one that is used.
  static Tensor gather(const Tensor& data, const Tensor& index) {
    const int64_t row = data.numel() / data.size(0);
    const Tensor flat = data.contiguous().reshape({data.size(0), row});
    tensor::Shape shape = index.shape();
    for (int64_t d = 1; d < data.rank(); ++d) shape.push_back(data.size(static_cast<int>(d)));
    const std::vector<int64_t> which = index.to_vector<int64_t>();
    Tensor out = Tensor::empty({static_cast<int64_t>(which.size()), row}, data.dtype());
    for (size_t i = 0; i < which.size(); ++i)
      out.select(0, static_cast<int64_t>(i)).copy_(flat.select(0, which[i]));
    return out.reshape(shape);
  }

  // `axes` of Squeeze and Unsqueeze, `shape` of Reshape: a tensor of numbers.
  static tensor::Shape reshaped(const Tensor& x, const Tensor& wanted) {
    tensor::Shape shape;
    for (const int64_t size : wanted.to_vector<int64_t>())
      shape.push_back(size == 0 ? x.size(static_cast<int>(shape.rank())) : size);
    return shape;
  }

  static std::vector<Tensor> compute(const OnnxFile::Node& node, const std::vector<Tensor>& in) {
    using namespace autograd;
    const auto attribute = [&](const char* name, int64_t by_default) {
      const auto found = node.attributes.find(name);
      return found == node.attributes.end() ? by_default : found->second.at(0);
    };
    const auto one = [](const Variable& result) { return std::vector<Tensor>{result.data().contiguous()}; };
    const std::string& op = node.op;
    if (op == "Identity") return {in[0]};
    if (op == "Add") return one(in[0] + Variable(in[1]));
    if (op == "Mul") return one(in[0] * Variable(in[1]));
    if (op == "Tanh") return one(tanh(in[0]));
    if (op == "Sigmoid") return one(sigmoid(in[0]));
    if (op == "Relu") return one(relu(in[0]));
    if (op == "Clip")
      return one(clamp(in[0], in[1].to_vector<float>().at(0), in[2].to_vector<float>().at(0)));
    if (op == "Softmax") return one(softmax(in[0], static_cast<int>(attribute("axis", -1))));
    if (op == "LogSoftmax") return one(log_softmax(in[0], static_cast<int>(attribute("axis", -1))));
    if (op == "MatMul")
      return one(in[0].rank() == 3 && in[1].rank() == 2 ? linear(in[0], transpose(in[1], 0, 1))
                                                        : matmul(in[0], in[1]));
    if (op == "Gemm")
      return one(matmul(in[0], attribute("transB", 0) == 1 ? in[1].transpose(0, 1) : in[1]) +
                 Variable(in[2]));
    if (op == "Gather") {
      if (attribute("axis", 0) != 0) throw std::runtime_error("Gather along another axis");
      return {gather(in[0], in[1])};
    }
    if (op == "Concat") {
      Variables parts(in.begin(), in.end());
      if (in[0].dtype() == tensor::DType::f32) return one(cat(parts, static_cast<int>(attribute("axis", 0))));
      std::vector<int64_t> all;
      for (const Tensor& part : in)
        for (const int64_t v : part.to_vector<int64_t>()) all.push_back(v);
      return {Tensor::from(all, {static_cast<int64_t>(all.size())})};
    }
    if (op == "Split") {
      const int axis = static_cast<int>(attribute("axis", 0));
      const int64_t size = in[0].size(axis) / static_cast<int64_t>(node.outputs.size());
      std::vector<Tensor> parts;
      for (size_t i = 0; i < node.outputs.size(); ++i)
        parts.push_back(in[0]
                            .slice(axis, static_cast<int64_t>(i) * size, static_cast<int64_t>(i + 1) * size)
                            .contiguous());
      return parts;
    }
    if (op == "Squeeze") return {in[0].squeeze(dim_of(in[1].to_vector<int64_t>().at(0), in[0].rank()))};
    if (op == "Unsqueeze")
      return {in[0].unsqueeze(dim_of(in[1].to_vector<int64_t>().at(0), in[0].rank() + 1))};
    if (op == "Reshape") return {in[0].contiguous().reshape(reshaped(in[0], in[1]))};
    if (op == "Shape") {
      const std::vector<int64_t> sizes(in[0].shape().begin(), in[0].shape().end());
      return {Tensor::from(sizes, {in[0].rank()})};
    }
    if (op == "ConstantOfShape") {
      tensor::Shape shape;
      for (const int64_t size : in[0].to_vector<int64_t>()) shape.push_back(size);
      return {Tensor::zeros(shape)};
    }
    if (op == "ReduceMean") {
      std::vector<int> dims;
      for (const int64_t axis : node.attributes.at("axes")) dims.push_back(static_cast<int>(axis));
      return one(mean(in[0], dims, attribute("keepdims", 1) != 0));
    }
    if (op == "Transpose") {
      std::vector<int> order;
      for (const int64_t d : node.attributes.at("perm")) order.push_back(static_cast<int>(d));
      return {in[0].permute(order).contiguous()};
    }
    if (op == "Conv") {
      const auto &pads = node.attributes.at("pads"), &strides = node.attributes.at("strides"),
                 &dilations = node.attributes.at("dilations");
      tensor::Conv2dOptions o;
      o.pad_top = pads.at(0), o.pad_left = pads.at(1), o.pad_bottom = pads.at(2), o.pad_right = pads.at(3);
      o.stride_h = strides.at(0), o.stride_w = strides.at(1);
      o.dilation_h = dilations.at(0), o.dilation_w = dilations.at(1);
      o.groups = attribute("group", 1);
      if (node.attributes.at("kernel_shape") != std::vector{in[1].size(2), in[1].size(3)})
        throw std::runtime_error(node.name + ": kernel_shape");
      return one(conv2d(in[0], in[1], in[2], o));
    }
    if (op == "MaxPool") {
      const auto &pads = node.attributes.at("pads"), &strides = node.attributes.at("strides"),
                 &kernel = node.attributes.at("kernel_shape");
      tensor::Pool2dOptions o;
      o.kernel_h = kernel.at(0), o.kernel_w = kernel.at(1);
      o.stride_h = strides.at(0), o.stride_w = strides.at(1);
      o.pad_h = pads.at(0), o.pad_w = pads.at(1);
      o.ceil_mode = attribute("ceil_mode", 0) != 0;
      if (pads.at(2) != o.pad_h || pads.at(3) != o.pad_w) throw std::runtime_error(node.name + ": pads");
      return one(max_pool2d(in[0], o));
    }
    throw std::runtime_error(op + ": an operator that no graph here has");
  }

  OnnxFile file_;
  std::set<std::string> ops_;
};

}  // namespace tests
