// A decoder's weights laid out once for the products of a search.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tensor/packed_matrix.h"

namespace imgcap {

// Matrix products whose rows do not depend on each other: libraries choose their kernel, and with it the
// order of a sum, by the number of rows, so that a caption's last digits would depend on what else is
// searched for. Float32 only; other types go to autograd::linear, and autocast is not asked.
//
// The layouts are a second copy of the weights. A weight that has changed since it was laid out is laid out
// anew. Several threads may multiply at once, while no weight changes.
class PackedWeights {
 public:
  // x weight^T + bias without a graph: x (..., in), weight (out, in), bias (out) or undefined -> (..., out).
  // `name` stands for the weight, or the part of one.
  tensor::Tensor linear(const std::string& name, const tensor::Tensor& x, const tensor::Tensor& weight,
                        const tensor::Tensor& bias = {});

  // out += x weight^T: x (n, in), out (n, out), weight (out, in), all f32.
  void add_product(const std::string& name, tensor::Tensor& out, const tensor::Tensor& x,
                   const tensor::Tensor& weight);

  // Gives the copies back.
  void clear();

 private:
  struct Entry {
    tensor::Tensor weight;  // held, so that no other takes its place in memory
    uint64_t version = 0;
    std::shared_ptr<const tensor::PackedMatrix> packed;
  };

  std::shared_ptr<const tensor::PackedMatrix> packed(const std::string& name, const tensor::Tensor& weight);

  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace imgcap
