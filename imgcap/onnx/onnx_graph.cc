#include "imgcap/onnx/onnx_graph.h"

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;
using tensor::io::ProtobufWriter;

namespace {

// Field numbers of onnx.proto.
namespace model {
constexpr int kIrVersion = 1, kProducer = 2, kGraph = 7, kOpsets = 8;
}
namespace opset {
constexpr int kVersion = 2;
}
namespace graph {
constexpr int kNode = 1, kName = 2, kWeight = 5, kInput = 11, kOutput = 12;
}
namespace op {
constexpr int kInput = 1, kOutput = 2, kName = 3, kType = 4, kAttribute = 5;
}
namespace attribute {
constexpr int kName = 1, kInt = 3, kInts = 8, kType = 20;
constexpr int64_t kTypeInt = 2, kTypeInts = 7;
}  // namespace attribute
namespace weights {
constexpr int kSize = 1, kType = 2, kName = 8, kBytes = 9;
}
namespace value {
constexpr int kName = 1, kType = 2, kTensor = 1, kElement = 1, kShape = 2, kSize = 1, kNumber = 1,
              kSymbol = 2;
}

int64_t element_type(DType dtype) {
  check(dtype == DType::f32 || dtype == DType::i64, ErrorKind::dtype, "onnx: values of {}", name_of(dtype));
  return dtype == DType::f32 ? 1 : 7;
}

ProtobufWriter described(const std::string& name, const OnnxShape& sizes, DType dtype) {
  ProtobufWriter shape, tensor, type, described;
  for (const auto& size : sizes) {
    ProtobufWriter dimension;
    if (const auto* number = std::get_if<int64_t>(&size))
      dimension.varint(value::kNumber, *number);
    else
      dimension.bytes(value::kSymbol, std::get<std::string>(size));
    shape.message(value::kSize, dimension);
  }
  tensor.varint(value::kElement, element_type(dtype));
  tensor.message(value::kShape, shape);
  type.message(value::kTensor, tensor);
  described.bytes(value::kName, name);
  described.message(value::kType, type);
  return described;
}

// A weight's message but for the bytes at its end.
ProtobufWriter head_of(const std::string& name, const Tensor& values) {
  ProtobufWriter head;
  for (const int64_t size : values.shape()) head.varint(weights::kSize, size);
  head.varint(weights::kType, element_type(values.dtype()));
  head.bytes(weights::kName, name);
  head.prefix(weights::kBytes, static_cast<uint64_t>(values.numel() * size_of(values.dtype())));
  return head;
}

}  // namespace

std::string OnnxGraph::input(const std::string& name, const OnnxShape& shape, DType dtype) {
  inputs_.message(graph::kInput, described(name, shape, dtype));
  return name;
}

void OnnxGraph::output(const std::string& name, const std::string& value, const OnnxShape& shape) {
  ProtobufWriter node;
  node.bytes(op::kInput, value);
  node.bytes(op::kOutput, name);
  node.bytes(op::kName, name);
  node.bytes(op::kType, "Identity");
  nodes_.message(graph::kNode, node);
  outputs_.message(graph::kOutput, described(name, shape, DType::f32));
}

std::string OnnxGraph::weight(const std::string& name, const Tensor& values) {
  element_type(values.dtype());
  weights_.emplace(name, values);
  return name;
}

std::string OnnxGraph::integers(const std::vector<int64_t>& values) {
  return weight("integers_" + tensor::join(values, "_"),
                Tensor::from(values, {static_cast<int64_t>(values.size())}));
}

std::string OnnxGraph::integer(int64_t value) {
  return weight(tensor::format("integer_{}", value), Tensor::scalar(value, DType::i64));
}

std::vector<std::string> OnnxGraph::nodes(const std::string& op, const std::vector<std::string>& inputs,
                                          size_t outputs, const OnnxAttributes& attributes) {
  ProtobufWriter node;
  std::vector<std::string> names;
  const std::string name = tensor::format("{}_{}", op, values_);
  for (const std::string& input : inputs) node.bytes(op::kInput, input);
  for (size_t i = 0; i < outputs; ++i) {
    names.push_back(tensor::format("{}_{}", op, values_++));
    node.bytes(op::kOutput, names.back());
  }
  node.bytes(op::kName, name);
  node.bytes(op::kType, op);
  for (const OnnxAttribute& given : attributes) {
    ProtobufWriter entry;
    entry.bytes(attribute::kName, given.name);
    if (const auto* one = std::get_if<int64_t>(&given.value)) {
      entry.varint(attribute::kInt, *one);
      entry.varint(attribute::kType, attribute::kTypeInt);
    } else {
      for (const int64_t number : std::get<std::vector<int64_t>>(given.value))
        entry.varint(attribute::kInts, number);
      entry.varint(attribute::kType, attribute::kTypeInts);
    }
    node.message(op::kAttribute, entry);
  }
  nodes_.message(graph::kNode, node);
  return names;
}

std::string OnnxGraph::node(const std::string& op, const std::vector<std::string>& inputs,
                            const OnnxAttributes& attributes) {
  return nodes(op, inputs, 1, attributes).front();
}

void OnnxGraph::save(const std::filesystem::path& file) const {
  // The weights' bytes are most of the file and are not copied into the messages around them.
  ProtobufWriter head, opsets, graph_name;
  head.varint(model::kIrVersion, kIrVersion);
  head.bytes(model::kProducer, "imgcap");
  opsets.varint(opset::kVersion, kOpset);
  head.message(model::kOpsets, opsets);
  graph_name.bytes(graph::kName, name_);
  struct Part {
    std::string before;
    const Tensor* values;
  };
  std::vector<Part> parts;
  auto size = static_cast<int64_t>(graph_name.data().size() + nodes_.data().size() + inputs_.data().size() +
                                   outputs_.data().size());
  for (const auto& [name, values] : weights_) {
    const ProtobufWriter inside = head_of(name, values);
    const int64_t bytes = values.numel() * size_of(values.dtype());
    ProtobufWriter before;
    before.prefix(graph::kWeight, inside.data().size() + static_cast<uint64_t>(bytes));
    parts.push_back({before.data() + inside.data(), &values});
    size += static_cast<int64_t>(parts.back().before.size()) + bytes;
  }
  head.prefix(model::kGraph, static_cast<uint64_t>(size));
  const int64_t all = size + static_cast<int64_t>(head.data().size());
  check(all <= kLargestFile, ErrorKind::data,
        "{}: it would have {} bytes, and an ONNX file has at most {}; such a model is not exported",
        file.string(), all, kLargestFile);
  tensor::io::write_file_atomically(file, [&](tensor::io::FileWriter& writer) {
    writer.write(head.data());
    writer.write(graph_name.data());
    writer.write(nodes_.data());
    for (const Part& part : parts) {
      writer.write(part.before);
      const Tensor values = part.values->to(tensor::Device{}).contiguous();
      if (values.numel() > 0) writer.write(std::span(values.raw(), static_cast<size_t>(values.bytes())));
    }
    writer.write(inputs_.data());
    writer.write(outputs_.data());
  });
}

}  // namespace imgcap
