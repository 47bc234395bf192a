#include "autograd/ops/common.h"

namespace autograd {

namespace {

Variable scatter_rows(const Variable& rows, const Shape& weight, const Tensor& ids);

// out[i] = weight[ids[i]]: dweight[k] = sum of g[i] over ids[i] == k, in the order of i
class EmbeddingBackward final : public Node {
 public:
  EmbeddingBackward(const Shape& weight, const Tensor& ids)
      : Node("embedding"), weight_(weight), ids_(save(ids)) {}
  Variables apply(const Variables& g) override { return {scatter_rows(g[0], weight_, saved(ids_).data())}; }

 private:
  Shape weight_;
  int ids_;
};

// The other way round: out[ids[i]] += rows[i], so drows[i] = g[ids[i]].
class ScatterRowsBackward final : public Node {
 public:
  explicit ScatterRowsBackward(const Tensor& ids) : Node("embedding_backward"), ids_(save(ids)) {}
  Variables apply(const Variables& g) override { return {embedding(g[0], saved(ids_).data())}; }

 private:
  int ids_;
};

Variable scatter_rows(const Variable& rows, const Shape& weight, const Tensor& ids) {
  Tensor sum = empty_like(rows.data(), weight);
  sum.zero_();
  tensor::kernels::embedding_backward(sum, rows.data(), ids);
  return record<ScatterRowsBackward>(sum, {rows}, ids);
}

}  // namespace

Variable embedding(const Variable& weight, const Tensor& ids) {
  expect_floats("embedding", {&weight});
  expect_one_device("embedding", weight, ids);
  check(weight.rank() == 2, ErrorKind::shape, "embedding: the weight has to be (words, width), not {}",
        weight.shape());
  Shape shape = ids.shape();
  shape.push_back(weight.size(1));
  Tensor out = empty_like(weight.data(), shape);
  tensor::kernels::embedding(out, weight.data(), ids);
  return record<EmbeddingBackward>(out, {weight}, weight.shape(), ids);
}

}  // namespace autograd
