#include "autograd/ops.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace autograd {
namespace {

using tensor::check;

void expect_cell(const char* op, int64_t rows, int64_t in, const LstmState& state, const Variable& weight_ih,
                 const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  check(weight_hh.defined() && weight_hh.rank() == 2 && weight_hh.size(0) == 4 * weight_hh.size(1),
        ErrorKind::shape, "{}: weight_hh has to be (4h, h), not {}", op,
        weight_hh.defined() ? to_string(weight_hh.shape()) : "undefined");
  const int64_t h = weight_hh.size(1);
  check(weight_ih.shape() == Shape{4 * h, in}, ErrorKind::shape,
        "{}: weight_ih {} for input size {} and hidden size {}", op, to_string(weight_ih.shape()), in, h);
  for (const Variable* s : {&state.h, &state.c})
    check(s->defined() && s->shape() == Shape{rows, h}, ErrorKind::shape, "{}: a state {} where {} is needed",
          op, s->defined() ? to_string(s->shape()) : "undefined", to_string(Shape{rows, h}));
  for (const Variable* b : {&bias_ih, &bias_hh})
    check(!b->defined() || b->shape() == Shape{4 * h}, ErrorKind::shape, "{}: a bias {} where {} is needed",
          op, b->defined() ? to_string(b->shape()) : "", to_string(Shape{4 * h}));
}

// rows of `out` = bias_ih + bias_hh
void set_biases(Tensor& out, const Variable& bias_ih, const Variable& bias_hh) {
  if (bias_ih.defined())
    out.copy_(bias_ih.data());
  else
    out.zero_();
  if (bias_hh.defined()) tensor::add_inplace(out, bias_hh.data().expand(out.shape()), 1);
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::empty({a.size(0), b.size(1)}, a.dtype(), a.device());
  tensor::matmul(out, a, b, 1, 0);
  return out;
}

Tensor sum_rows(const Tensor& x) {
  Tensor out = Tensor::empty({1, x.size(1)}, x.dtype(), x.device());
  tensor::reduce(out, x, {0}, tensor::ReduceOp::sum);
  return out.view({x.size(1)});
}

// Both biases get the same gradient, each in a tensor of its own.
void bias_gradients(std::vector<Tensor>& result, size_t first, const Tensor& dpre, bool ih, bool hh) {
  if (!ih && !hh) return;
  const Tensor sum = sum_rows(dpre);
  if (ih) result[first] = sum;
  if (hh) result[first + 1] = sum.clone();
}

Tensor or_zeros(const Tensor& gradient, const Tensor& like) {
  return gradient.defined() ? gradient.contiguous()
                            : Tensor::zeros(like.shape(), like.dtype(), like.device());
}

class LstmCellBackward final : public OnceDifferentiable {
 public:
  LstmCellBackward(const Variable& x, const LstmState& state, const Variable& weight_ih,
                   const Variable& weight_hh, const Tensor& gates, const Tensor& c)
      : OnceDifferentiable("lstm_cell") {
    for (const Variable* v : {&x, &state.h, &state.c, &weight_ih, &weight_hh}) save(*v);
    save(gates);
    save_output(c, 1);
  }

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Tensor x = saved(0).data(), h = saved(1).data(), c_prev = saved(2).data();
    const Tensor weight_ih = saved(3).data(), weight_hh = saved(4).data(), gates = saved(5).data();
    const Tensor c = saved(6).data();
    const Tensor dh = or_zeros(gradients[0], c), dc = or_zeros(gradients[1], c);
    Tensor dpre = Tensor::empty(gates.shape(), gates.dtype(), gates.device());
    Tensor dc_prev = Tensor::empty(c.shape(), c.dtype(), c.device());
    tensor::lstm_cell_backward(dpre, dc_prev, dh, dc, gates, c, c_prev.contiguous());
    std::vector<Tensor> result(7);
    if (needs(0)) result[0] = product(dpre, weight_ih);
    if (needs(1)) result[1] = product(dpre, weight_hh);
    if (needs(2)) result[2] = dc_prev;
    if (needs(3)) result[3] = product(dpre.t(), x);
    if (needs(4)) result[4] = product(dpre.t(), h);
    bias_gradients(result, 5, dpre, needs(5), needs(6));
    return result;
  }
};

}  // namespace

// pre = x W_ih^T + b_ih + h W_hh^T + b_hh;  i, f, o = sigmoid(pre),  g = tanh(pre);  c' = f c + i g,  h' = o
// tanh(c')
LstmState lstm_cell(const Variable& x, const LstmState& state, const Variable& weight_ih,
                    const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  check(x.rank() == 2, ErrorKind::shape, "lstm_cell: the input has to be (n, in), not {}",
        to_string(x.shape()));
  expect_cell("lstm_cell", x.size(0), x.size(1), state, weight_ih, weight_hh, bias_ih, bias_hh);
  const int64_t n = x.size(0), hidden = weight_hh.size(1);
  const DType dtype = x.dtype();
  Tensor gates = Tensor::empty({n, 4 * hidden}, dtype, x.device());
  Tensor h = Tensor::empty({n, hidden}, dtype, x.device()), c = Tensor::empty({n, hidden}, dtype, x.device());
  set_biases(gates, bias_ih, bias_hh);
  tensor::matmul(gates, x.data(), weight_ih.data().t(), 1, 1);
  tensor::matmul(gates, state.h.data(), weight_hh.data().t(), 1, 1);
  tensor::lstm_cell(h, c, gates, gates, state.c.data().contiguous());
  const Variables out =
      record_all<LstmCellBackward>({h, c}, {x, state.h, state.c, weight_ih, weight_hh, bias_ih, bias_hh}, x,
                                   state, weight_ih, weight_hh, gates, c);
  return {out[0], out[1]};
}

LstmState lstm_cell_composed(const Variable& x, const LstmState& state, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  expect_cell("lstm_cell", x.size(0), x.size(1), state, weight_ih, weight_hh, bias_ih, bias_hh);
  const int64_t h = weight_hh.size(1);
  const Variable pre = linear(x, weight_ih, bias_ih) + linear(state.h, weight_hh, bias_hh);
  const auto gate = [&](int64_t k) { return slice(pre, 1, k * h, (k + 1) * h); };
  const Variable c = sigmoid(gate(1)) * state.c + sigmoid(gate(0)) * tanh(gate(2));
  return {sigmoid(gate(3)) * tanh(c), c};
}

namespace {

// Buffers of a layer over t steps of n rows: states have the initial one in front.
class LstmSequenceBackward final : public OnceDifferentiable {
 public:
  LstmSequenceBackward(const Tensor& x, const Variable& weight_ih, const Variable& weight_hh,
                       const Tensor& gates, const Tensor& h, const Tensor& c)
      : OnceDifferentiable("lstm_sequence") {
    save(x);
    save(weight_ih);
    save(weight_hh);
    save(gates);
    save(h);
    save(c);
  }

  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Tensor x = saved(0).data(), weight_ih = saved(1).data(), weight_hh = saved(2).data();
    const Tensor gates = saved(3).data(), h = saved(4).data(), c = saved(5).data();
    const int64_t steps = x.size(0), n = x.size(1), hidden = weight_hh.size(1);
    Tensor dpre = Tensor::empty(gates.shape(), gates.dtype(), gates.device());
    const Tensor state = h.select(0, 0);
    Tensor dh = or_zeros(gradients[1], state).clone(), dc = or_zeros(gradients[2], state).clone();
    for (int64_t t = steps; t-- > 0;) {
      if (gradients[0].defined()) tensor::add_inplace(dh, gradients[0].select(0, t), 1);
      Tensor dpre_t = dpre.select(0, t);
      tensor::lstm_cell_backward(dpre_t, dc, dh, dc, gates.select(0, t), c.select(0, t + 1), c.select(0, t));
      tensor::matmul(dh, dpre_t, weight_hh, 1, 0);
    }
    const Tensor flat = dpre.view({steps * n, 4 * hidden});
    std::vector<Tensor> result(7);
    if (needs(0)) result[0] = product(flat, weight_ih).view(x.shape());
    if (needs(1)) result[1] = dh;
    if (needs(2)) result[2] = dc;
    if (needs(3)) result[3] = product(flat.t(), x.view({steps * n, x.size(2)}));
    if (needs(4)) result[4] = product(flat.t(), h.slice(0, 0, steps).view({steps * n, hidden}));
    bias_gradients(result, 5, flat, needs(5), needs(6));
    return result;
  }
};

}  // namespace

// lstm_cell for t = 1..T with one product for all steps' inputs; weight gradients are one product over time.
LstmSequence lstm_sequence(const Variable& x, const LstmState& state, const Variable& weight_ih,
                           const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  check(x.rank() == 3 && x.size(0) > 0, ErrorKind::shape,
        "lstm_sequence: the input has to be (t, n, in), not {}", to_string(x.shape()));
  const int64_t steps = x.size(0), n = x.size(1), in = x.size(2);
  expect_cell("lstm_sequence", n, in, state, weight_ih, weight_hh, bias_ih, bias_hh);
  const int64_t hidden = weight_hh.size(1);
  const DType dtype = x.dtype();
  const Tensor input = x.data().contiguous();
  Tensor gates = Tensor::empty({steps, n, 4 * hidden}, dtype, x.device());
  Tensor h = Tensor::empty({steps + 1, n, hidden}, dtype, x.device());
  Tensor c = Tensor::empty({steps + 1, n, hidden}, dtype, x.device());
  h.select(0, 0).copy_(state.h.data());
  c.select(0, 0).copy_(state.c.data());
  Tensor flat = gates.view({steps * n, 4 * hidden});
  set_biases(flat, bias_ih, bias_hh);
  tensor::matmul(flat, input.view({steps * n, in}), weight_ih.data().t(), 1, 1);
  for (int64_t t = 0; t < steps; ++t) {
    Tensor gates_t = gates.select(0, t), h_t = h.select(0, t + 1), c_t = c.select(0, t + 1);
    tensor::matmul(gates_t, h.select(0, t), weight_hh.data().t(), 1, 1);
    tensor::lstm_cell(h_t, c_t, gates_t, gates_t, c.select(0, t));
  }
  const Variables out =
      record_all<LstmSequenceBackward>({h.slice(0, 1, steps + 1), h.select(0, steps), c.select(0, steps)},
                                       {x, state.h, state.c, weight_ih, weight_hh, bias_ih, bias_hh}, input,
                                       weight_ih, weight_hh, gates, h, c);
  return {out[0], {out[1], out[2]}};
}

}  // namespace autograd
