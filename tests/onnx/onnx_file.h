// Reads an ONNX file back, with the project's protobuf reader and nothing of its writer.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tensor/io/atomic_file.h"
#include "tensor/io/protobuf.h"
#include "tensor/tensor.h"

namespace tests {

struct OnnxFile {
  struct Node {
    std::string op, name;
    std::vector<std::string> inputs, outputs;
    std::map<std::string, std::vector<int64_t>> attributes;
  };
  struct Value {
    std::string name;
    int64_t type = 0;
    std::vector<std::string> sizes;  // numbers as text
  };
  int64_t ir_version = 0, opset = 0;
  std::string opset_domain = "none", graph_name;
  std::vector<Node> nodes;
  std::vector<Value> inputs, outputs;
  std::map<std::string, tensor::Tensor> weights;

  // Calls `take(field, reader)` for each field of the message.
  template <class F>
  static void each(tensor::io::ProtobufReader reader, F&& take) {
    while (const auto field = reader.next()) take(*field, reader);
  }
  static std::string text(const tensor::io::ProtobufField& field) {
    return std::string(field.as_bytes().value());
  }

  static Node read_node(tensor::io::ProtobufReader message) {
    Node node;
    each(message, [&](const auto& field, const auto& in) {
      if (field.number == 1) node.inputs.push_back(text(field));
      if (field.number == 2) node.outputs.push_back(text(field));
      if (field.number == 3) node.name = text(field);
      if (field.number == 4) node.op = text(field);
      if (field.number != 5) return;
      std::string name;
      std::vector<int64_t> values;
      int64_t type = 0;
      each(in.inside(field), [&](const auto& part, const auto& inside) {
        if (part.number == 1) name = text(part);
        if (part.number == 20) type = part.as_int64().value();
        if (part.number == 3) values = {part.as_int64().value()};
        if (part.number == 8)
          for (const int64_t v : inside.integers(part)) values.push_back(v);
      });
      if (type != 2 && type != 7) throw std::runtime_error("an attribute that is no integer");
      node.attributes[name] = values;
    });
    return node;
  }

  static Value read_value(tensor::io::ProtobufReader message) {
    Value value;
    each(message, [&](const auto& field, const auto& in) {
      if (field.number == 1) value.name = text(field);
      if (field.number != 2) return;
      each(in.inside(field), [&](const auto& type, const auto& of_type) {
        each(of_type.inside(type), [&](const auto& part, const auto& of_tensor) {
          if (part.number == 1) value.type = part.as_int64().value();
          if (part.number != 2) return;
          each(of_tensor.inside(part), [&](const auto& size, const auto& of_shape) {
            each(of_shape.inside(size), [&](const auto& choice, const auto&) {
              value.sizes.push_back(choice.number == 1 ? std::to_string(choice.as_int64().value())
                                                       : text(choice));
            });
          });
        });
      });
    });
    return value;
  }

  void read_weight(tensor::io::ProtobufReader message) {
    std::string name, bytes;
    tensor::Shape shape;
    int64_t type = 0;
    each(message, [&](const auto& field, const auto& in) {
      if (field.number == 1)
        for (const int64_t size : in.integers(field)) shape.push_back(size);
      if (field.number == 2) type = field.as_int64().value();
      if (field.number == 8) name = text(field);
      if (field.number == 9) bytes = text(field);
    });
    if (type != 1 && type != 7) throw std::runtime_error("a weight of another type");
    tensor::Tensor t = tensor::Tensor::empty(shape, type == 1 ? tensor::DType::f32 : tensor::DType::i64);
    if (static_cast<size_t>(t.bytes()) != bytes.size()) throw std::runtime_error(name + ": another size");
    std::memcpy(t.mutable_raw(), bytes.data(), bytes.size());
    if (!weights.emplace(name, t).second) throw std::runtime_error(name + ": twice");
  }

  explicit OnnxFile(const std::filesystem::path& file) {
    const std::string bytes = tensor::io::read_file(file, int64_t{1} << 30);
    each(tensor::io::ProtobufReader(bytes, file.string()), [&](const auto& field, const auto& in) {
      if (field.number == 1) ir_version = field.as_int64().value();
      if (field.number == 8) {
        opset_domain.clear();
        each(in.inside(field), [&](const auto& part, const auto&) {
          if (part.number == 1) opset_domain = text(part);
          if (part.number == 2) opset = part.as_int64().value();
        });
      }
      if (field.number != 7) return;
      each(in.inside(field), [&](const auto& part, const auto& graph) {
        if (part.number == 1) nodes.push_back(read_node(graph.inside(part)));
        if (part.number == 2) graph_name = text(part);
        if (part.number == 5) read_weight(graph.inside(part));
        if (part.number == 11) inputs.push_back(read_value(graph.inside(part)));
        if (part.number == 12) outputs.push_back(read_value(graph.inside(part)));
      });
    });
  }
};

}  // namespace tests
