// Weights laid out once for the many small products of a search.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "autograd/node.h"
#include "tensor/packed_matrix.h"

namespace autograd {

// A second copy of weights, in the layout of the inner kernel. One that has changed since is laid out anew; that
// of a weight which is gone stays until another takes its place in memory, or clear(). Several threads may use
// it at once, while no weight changes.
class PackedWeights {
 public:
  // Of a weight (out, in).
  std::shared_ptr<const tensor::PackedMatrix> of(const Tensor& weight);
  // Gives the copies back.
  void clear();

 private:
  struct Entry {
    TensorIdentity weight;
    uint64_t version = 0;
    std::shared_ptr<const tensor::PackedMatrix> packed;
  };

  std::mutex mutex_;
  std::map<std::tuple<const void*, int64_t, int64_t>, Entry> entries_;  // by address and sizes
};

// For its lifetime, what `linear`, `lstm_cell` and the modules made of them multiply in f32 on this thread
// without a graph goes through `weights`. The rows of these products do not depend on each other: libraries
// choose their kernel, and with it the order of a sum, by the number of rows.
class PackedGuard {
 public:
  explicit PackedGuard(PackedWeights& weights);
  ~PackedGuard();
  PackedGuard(const PackedGuard&) = delete;
  PackedGuard& operator=(const PackedGuard&) = delete;

 private:
  PackedWeights* previous_;
};

// --- for ops

// out = x weight^T, or out += x weight^T: x (n, in), weight (out, in), out (n, out) with contiguous rows.
void multiply_weight(Tensor& out, const Tensor& x, const Tensor& weight, bool accumulate);

}  // namespace autograd
