#include "autograd/ops/common.h"

namespace autograd {
namespace {

class AdditiveAttentionBackward final : public OnceDifferentiable {
 public:
  AdditiveAttentionBackward(const Variable& keys, const Variable& values, const Variable& query,
                            const Variable& v, const Variable& v_bias, const Tensor& image,
                            const Tensor& alpha)
      : OnceDifferentiable("additive_attention"),
        image_(image),
        keys_(save(keys)),
        values_(save(values)),
        query_(save(query)),
        v_(save(v)),
        v_bias_(save(v_bias)),
        alpha_(save_output(alpha, 1)) {}

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Tensor keys = saved(keys_).data().contiguous(), values = saved(values_).data().contiguous();
    const Tensor query = saved(query_).data().contiguous(), v = saved(v_).data().contiguous(),
                 alpha = saved(alpha_).data();
    const auto zeros = [](const Tensor& like) {
      return Tensor::zeros(like.shape(), like.dtype(), like.device());
    };
    Tensor dquery = zeros(query), dkeys = zeros(keys), dvalues = needs(1) ? zeros(values) : Tensor(),
           dv = zeros(v);
    Tensor dv_bias = needs(4) ? zeros(saved(v_bias_).data()) : Tensor();
    const Tensor dcontext = gradients[0].defined() ? gradients[0].contiguous()
                                                   : Tensor::zeros({query.size(0), values.size(2)},
                                                                   query.dtype(), query.device());
    tensor::kernels::additive_attention_backward(
        {.dquery = dquery,
         .dkeys = dkeys,
         .dvalues = dvalues,
         .dv = dv,
         .dv_bias = dv_bias,
         .dcontext = dcontext,
         .dalpha = gradients[1].defined() ? gradients[1].contiguous() : Tensor(),
         .alpha = alpha,
         .keys = keys,
         .values = values,
         .query = query,
         .image = image_,
         .v = v});
    return {needs(0) ? dkeys : Tensor(), dvalues, needs(2) ? dquery : Tensor(), needs(3) ? dv : Tensor(),
            dv_bias};
  }

 private:
  Tensor image_;
  int keys_, values_, query_, v_, v_bias_, alpha_;
};

void expect_shapes(const char* op, const Variable& keys, const Variable& values, const Variable& query) {
  tensor::check(
      keys.rank() == 3 && values.rank() == 3 && query.rank() == 2 && keys.size(0) == values.size(0) &&
          keys.size(1) == values.size(1) && keys.size(2) == query.size(1),
      ErrorKind::shape, "{}: keys {}, values {} and query {} have to be (m, p, a), (m, p, d) and (n, a)", op,
      keys.shape(), values.shape(), query.shape());
  tensor::check(keys.size(1) > 0, ErrorKind::shape, "{}: no places to look at in keys {}", op, keys.shape());
}

}  // namespace

// e_p = v . tanh(key_p + query) + b;  alpha = softmax(e);  context = sum_p alpha_p value_p
Attention additive_attention(const Variable& given_keys, const Variable& given_values,
                             const Variable& given_query, const Tensor& image, const Variable& v,
                             const Variable& v_bias) {
  const Variable keys = autocast_lower(given_keys), values = autocast_lower(given_values),
                 query = autocast_lower(given_query);
  expect_floats("additive_attention", {&keys, &values, &query});
  if (!(tensor::is_half(keys.dtype()) && v.dtype() == DType::f32))
    expect_floats("additive_attention", {&keys, &v});
  if (v_bias.defined()) expect_floats("additive_attention", {&v, &v_bias});
  expect_one_device("additive_attention", keys, image, v, v_bias);
  expect_shapes("additive_attention", keys, values, query);
  Tensor context = Tensor::empty({query.size(0), values.size(2)}, query.dtype(), query.device());
  Tensor alpha = Tensor::empty({query.size(0), keys.size(1)}, v.dtype(), query.device());
  tensor::kernels::additive_attention({.context = context,
                                       .alpha = alpha,
                                       .keys = keys.data().contiguous(),
                                       .values = values.data().contiguous(),
                                       .query = query.data().contiguous(),
                                       .image = image,
                                       .v = v.data().contiguous(),
                                       .v_bias = v_bias.defined() ? v_bias.data() : Tensor()});
  const Variables out = record_all<AdditiveAttentionBackward>(
      {context, alpha}, {keys, values, query, v, v_bias}, keys, values, query, v, v_bias, image, alpha);
  return {out[0], out[1]};
}

Attention additive_attention_composed(const Variable& given_keys, const Variable& given_values,
                                      const Variable& given_query, const Tensor& image, const Variable& v,
                                      const Variable& v_bias) {
  const Variable keys = autocast_lower(given_keys), values = autocast_lower(given_values),
                 query = autocast_lower(given_query);
  expect_shapes("additive_attention_composed", keys, values, query);
  const int64_t places = keys.size(1), width = keys.size(2), features = values.size(2), rows = query.size(0);
  const int64_t images = keys.size(0);
  // Each row's own copy of its image: what the kernel avoids.
  const Variable key =
      reshape(embedding(reshape(keys, {images, places * width}), image), {rows, places, width});
  const Variable value =
      reshape(embedding(reshape(values, {images, places * features}), image), {rows, places, features});
  Variable scores = sum(tanh(key + unsqueeze(query, 1)) * v, {2});
  if (v_bias.defined()) scores = scores + v_bias;
  const Variable alpha = softmax(scores, 1);
  return {reshape(matmul(unsqueeze(alpha, 1), value), {rows, features}), alpha};
}

}  // namespace autograd
