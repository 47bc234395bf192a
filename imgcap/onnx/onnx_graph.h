// A graph of the ONNX format in the making: operators, weights, inputs and outputs, written as one file. The
// format is protobuf; its schema is onnx.proto of https://github.com/onnx/onnx, its operators are those of
// opset 13.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "tensor/io/protobuf.h"
#include "tensor/tensor.h"

namespace imgcap {

// A size, or the name of one that is open until the graph runs ("batch").
using OnnxShape = std::vector<std::variant<int64_t, std::string>>;

struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, std::vector<int64_t>> value;
};
using OnnxAttributes = std::vector<OnnxAttribute>;

// Values have names; what makes one returns its name.
class OnnxGraph {
 public:
  static constexpr int64_t kOpset = 13;
  static constexpr int64_t kIrVersion = 7;  // of the release with opset 13
  // A protobuf message has to be below 2 GiB; larger models need their weights in files of their own.
  static constexpr int64_t kLargestFile = (int64_t{1} << 31) - 1;

  explicit OnnxGraph(std::string name) : name_(std::move(name)) {}

  // f32 and i64, as all values here are.
  std::string input(const std::string& name, const OnnxShape& shape,
                    tensor::DType dtype = tensor::DType::f32);
  // Adds the op Identity, so that an output may be any value.
  void output(const std::string& name, const std::string& value, const OnnxShape& shape);

  // A constant of the file. The same name twice is the same weight, stored once. Shares the tensor's memory
  // until the file is written.
  std::string weight(const std::string& name, const tensor::Tensor& values);
  // Numbers that ops take as inputs: axes, indices, shapes.
  std::string integers(const std::vector<int64_t>& values);
  std::string integer(int64_t value);  // rank 0

  std::string node(const std::string& op, const std::vector<std::string>& inputs,
                   const OnnxAttributes& attributes = {});
  std::vector<std::string> nodes(const std::string& op, const std::vector<std::string>& inputs,
                                 size_t outputs, const OnnxAttributes& attributes = {});

  // Written as a whole or not at all. A data error where the file would be over kLargestFile; io errors name
  // the file.
  void save(const std::filesystem::path& file) const;

 private:
  std::string name_;
  tensor::io::ProtobufWriter nodes_, inputs_, outputs_;
  std::map<std::string, tensor::Tensor> weights_;
  int64_t values_ = 0;
};

}  // namespace imgcap
