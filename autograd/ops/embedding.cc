#include "autograd/ops/common.h"

namespace autograd {

// out[i] = weight[ids[i]]: dweight[k] = sum of g[i] over ids[i] == k, in the order of i
class EmbeddingBackward final : public OnceDifferentiable {
 public:
  EmbeddingBackward(const Shape& weight, const Tensor& ids)
      : OnceDifferentiable("embedding"), weight_(weight) {
    save(Variable(ids));
  }
  std::vector<Tensor> apply_once(const std::vector<Tensor>& g) override {
    Tensor dweight = Tensor::zeros(weight_, g[0].dtype(), g[0].device());
    tensor::embedding_backward(dweight, g[0], saved(0).data());
    return {dweight};
  }

 private:
  Shape weight_;
};

Variable embedding(const Variable& weight, const Tensor& ids) {
  expect_floats("embedding", {&weight});
  check(weight.rank() == 2, ErrorKind::shape, "embedding: the weight has to be (words, width), not {}",
        to_string(weight.shape()));
  Shape shape = ids.shape();
  shape.push_back(weight.size(1));
  Tensor out = empty_like(weight.data(), shape);
  tensor::embedding(out, weight.data(), ids);
  return record<EmbeddingBackward>(out, {weight}, weight.shape(), ids);
}

}  // namespace autograd
