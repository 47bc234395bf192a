#include "autograd/ops/common.h"

namespace autograd {

namespace {

// out[ids[i]] += rows[i], in the order of i: drows[i] = g[ids[i]]
Variable scatter_rows(const Variable& rows, const Shape& weight, const Variable& ids) {
  Tensor sum = empty_like(rows.data(), weight);
  sum.zero_();
  tensor::kernels::embedding_backward(sum, rows.data(), ids.data());
  return record_saving(
      "embedding_backward", sum, rows, ids,
      [](const Variable& g, const Variable& saved_ids) { return embedding(g, saved_ids.data()); });
}

}  // namespace

// out[i] = weight[ids[i]]: dweight[k] = sum of g[i] over ids[i] == k
Variable embedding(const Variable& weight, const Tensor& ids) {
  expect_floats("embedding", {&weight});
  expect_one_device("embedding", weight, ids);
  check(weight.rank() == 2, ErrorKind::shape, "embedding: the weight has to be (words, width), not {}",
        weight.shape());
  Shape shape = ids.shape();
  shape.push_back(weight.size(1));
  Tensor out = empty_like(weight.data(), shape);
  tensor::kernels::embedding(out, weight.data(), ids);
  return record_saving("embedding", out, weight, ids,
                       [rows = weight.shape()](const Variable& g, const Variable& saved_ids) {
                         return scatter_rows(g, rows, saved_ids);
                       });
}

}  // namespace autograd
