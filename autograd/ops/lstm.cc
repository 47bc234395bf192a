#include "autograd/ops/common.h"
#include "autograd/packed_weights.h"

namespace autograd {
namespace {

// What the ops compute with: under autocast, the products' operands in 16 bits and c in f32.
struct Cell {
  Variable x, h, c, weight_ih, weight_hh, bias_ih, bias_hh;

  Cell(const Variable& x_, const LstmState& state, const Variable& weight_ih_, const Variable& weight_hh_,
       const Variable& bias_ih_, const Variable& bias_hh_)
      : x(autocast_lower(x_)),
        h(autocast_lower(state.h)),
        c(autocast_f32(state.c)),
        weight_ih(autocast_lower(weight_ih_)),
        weight_hh(autocast_lower(weight_hh_)),
        bias_ih(bias_ih_),
        bias_hh(bias_hh_) {}

  Variables inputs() const { return {x, h, c, weight_ih, weight_hh, bias_ih, bias_hh}; }
  // Of the gates, which are sums of several products.
  DType wide() const { return tensor::is_half(x.dtype()) ? DType::f32 : x.dtype(); }

  void expect_types(const char* op) const {
    expect_floats(op, {&x, &h, &weight_ih, &weight_hh});
    expect_one_device(op, x, c, bias_ih, bias_hh);
    for (const Variable* v : {&c, &bias_ih, &bias_hh})
      if (v->defined() && v->dtype() != wide()) expect_floats(op, {&x, v});
  }
};

void expect_cell(const char* op, int64_t rows, int64_t in, const LstmState& state, const Variable& weight_ih,
                 const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  check(weight_hh.defined(), ErrorKind::shape, "{}: weight_hh has to be (4h, h), not undefined", op);
  check(weight_hh.rank() == 2 && weight_hh.size(0) == 4 * weight_hh.size(1), ErrorKind::shape,
        "{}: weight_hh has to be (4h, h), not {}", op, weight_hh.shape());
  const int64_t h = weight_hh.size(1);
  check(weight_ih.shape() == Shape{4 * h, in}, ErrorKind::shape,
        "{}: weight_ih {} for input size {} and hidden size {}", op, weight_ih.shape(), in, h);
  for (const Variable* s : {&state.h, &state.c}) {
    check(s->defined(), ErrorKind::shape, "{}: a state undefined where {} is needed", op, Shape{rows, h});
    check(s->shape() == Shape{rows, h}, ErrorKind::shape, "{}: a state {} where {} is needed", op, s->shape(),
          Shape{rows, h});
  }
  for (const Variable* b : {&bias_ih, &bias_hh})
    check(!b->defined() || b->shape() == Shape{4 * h}, ErrorKind::shape, "{}: a bias {} where {} is needed",
          op, b->defined() ? b->shape() : Shape{}, Shape{4 * h});
}

// rows of `out` = bias_ih + bias_hh
void set_biases(Tensor& out, const Variable& bias_ih, const Variable& bias_hh) {
  if (bias_ih.defined())
    out.copy_(bias_ih.data());
  else
    out.zero_();
  if (bias_hh.defined()) tensor::kernels::add_inplace(out, bias_hh.data().expand(out.shape()), 1);
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::empty({a.size(0), b.size(1)}, b.dtype(), a.device());
  tensor::kernels::matmul(out, a, b, 1, 0);
  return out;
}

Tensor sum_rows(const Tensor& x) {
  Tensor out = Tensor::empty({1, x.size(1)}, x.dtype(), x.device());
  tensor::kernels::reduce(out, x, {0}, tensor::ReduceOp::sum);
  return out.view({x.size(1)});
}

// Both biases get the same gradient, each in a tensor of its own.
void bias_gradients(std::vector<Tensor>& result, size_t first, const Tensor& dpre, bool ih, bool hh,
                    const Node& node) {
  if (!ih && !hh) return;
  const Tensor sum = sum_rows(dpre);
  if (ih) result[first] = sum.to(node.input_metas()[first].dtype);
  if (hh) result[first + 1] = sum.clone().to(node.input_metas()[first + 1].dtype);
}

Tensor or_zeros(const Tensor& gradient, const Tensor& like) {
  return gradient.defined() ? gradient.contiguous()
                            : Tensor::zeros(like.shape(), like.dtype(), like.device());
}

// A state before and after each of t steps of n rows, each (t, n, hidden).
struct StateRun {
  Tensor before, after;

  // Of a sequence: one buffer, since a step's state is the next one's former.
  StateRun(const Tensor& first, int64_t steps) {
    Tensor all = empty_like(first, {steps + 1, first.size(0), first.size(1)});
    all.select(0, 0).copy_(first);
    before = all.slice(0, 0, steps), after = all.slice(0, 1, steps + 1);
  }
  // Of one step.
  explicit StateRun(const Tensor& first)
      : before(first.contiguous().unsqueeze(0)), after(empty_like(first, before.shape())) {}
};

class LstmBackward final : public OnceDifferentiable {
 public:
  LstmBackward(const char* name, const Cell& cell, const Tensor& gates, const StateRun& h, const StateRun& c)
      : OnceDifferentiable(name),
        x_(save(cell.x)),
        weight_ih_(save(cell.weight_ih)),
        weight_hh_(save(cell.weight_hh)),
        gates_(save(gates)),
        h_before_(save(h.before)),
        c_before_(save(c.before)),
        c_after_(save(c.after)) {}

  // Of a sequence's outputs, and of the last h and c.
  std::vector<Tensor> apply_once(const std::vector<Tensor>& gradients) override {
    const Tensor weight_ih = saved(weight_ih_).data(), weight_hh = saved(weight_hh_).data();
    const Tensor gates = saved(gates_).data(), h = saved(h_before_).data();
    const Tensor c_before = saved(c_before_).data(), c_after = saved(c_after_).data();
    const int64_t steps = h.size(0), n = h.size(1), hidden = h.size(2);
    const Tensor x = saved(x_).data().reshape({steps * n, weight_ih.size(1)});
    Tensor dpre = release_for_writing() ? gates : Tensor::empty(gates.shape(), gates.dtype(), gates.device());
    // What goes into products, written beside dpre where it has another type.
    const bool apart = x.dtype() != gates.dtype();
    const Tensor operands = apart ? Tensor::empty(gates.shape(), x.dtype(), gates.device()) : dpre;
    const auto running = [&](const Tensor& gradient) {
      return or_zeros(gradient, h.select(0, 0)).clone().to(gates.dtype());
    };
    // Laid out once for all steps
    tensor::PackedMatrix recurrent;
    if (steps > 1 || needs(1)) recurrent = tensor::PackedMatrix(weight_hh, tensor::packed_for(n));
    const size_t last = gradients.size() - 2;
    Tensor dh = running(gradients[last]), dc = running(gradients[last + 1]), douts;
    if (last > 0 && gradients[0].defined()) douts = gradients[0].to(gates.dtype());
    for (int64_t t = steps; t-- > 0;) {
      if (douts.defined()) tensor::kernels::add_inplace(dh, douts.select(0, t), 1);
      const Tensor operand = operands.select(0, t);
      tensor::kernels::lstm_cell_backward({dpre.select(0, t), dc, dh, dc, gates.select(0, t),
                                           c_after.select(0, t), c_before.select(0, t),
                                           apart ? operand : Tensor()});
      if (t > 0 || needs(1)) recurrent.multiply(dh, operand, false);
    }
    const Tensor flat = dpre.view({steps * n, 4 * hidden}), operand = operands.view(flat.shape());
    std::vector<Tensor> result(7);
    if (needs(0)) result[0] = product(operand, weight_ih).view(input_metas()[0].shape);
    if (needs(1)) result[1] = dh.to(h.dtype());
    if (needs(2)) result[2] = dc.to(c_after.dtype());
    if (needs(3)) result[3] = product(operand.t(), x);
    if (needs(4)) result[4] = product(operand.t(), h.view({steps * n, hidden}));
    bias_gradients(result, 5, flat, needs(5), needs(6), *this);
    return result;
  }

 private:
  int x_, weight_ih_, weight_hh_, gates_, h_before_, c_before_, c_after_;
};

// One product for all steps' inputs; weight gradients are one product over time. x (t, n, in), or (n, in) for
// one step, whose outputs are its state.
LstmSequence run(const char* op, const Variable& x, const LstmState& state, const Variable& weight_ih,
                 const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  const bool one = x.rank() == 2;
  const int64_t steps = one ? 1 : x.size(0), n = x.size(-2), in = x.size(-1);
  expect_cell(op, n, in, state, weight_ih, weight_hh, bias_ih, bias_hh);
  const Cell cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh);
  cell.expect_types(op);
  const auto states = [&](const Variable& first) {
    return one ? StateRun(first.data()) : StateRun(first.data(), steps);
  };
  StateRun h = states(cell.h), c = states(cell.c);
  Tensor gates = Tensor::empty({steps, n, 4 * weight_hh.size(1)}, cell.wide(), x.device());
  Tensor flat = gates.view({steps * n, gates.size(2)});
  set_biases(flat, bias_ih, bias_hh);
  multiply_weight(flat, cell.x.data().reshape({steps * n, in}), cell.weight_ih.data(), true);
  tensor::PackedMatrix recurrent;  // laid out once for all steps
  if (!one) recurrent = tensor::PackedMatrix(cell.weight_hh.data().t(), tensor::packed_for(n));
  // h before it is rounded, where it goes on in 16 bits alone.
  Tensor exact;
  if (cell.wide() != cell.h.dtype()) exact = Tensor::empty(cell.h.shape(), cell.wide(), x.device());
  for (int64_t t = 0; t < steps; ++t) {
    Tensor gates_t = gates.select(0, t), h_t = h.after.select(0, t), c_t = c.after.select(0, t);
    if (one)
      multiply_weight(gates_t, h.before.select(0, t), cell.weight_hh.data(), true);
    else
      recurrent.multiply(gates_t, h.before.select(0, t), true);
    tensor::kernels::lstm_cell({exact.defined() ? exact : h_t, c_t, gates_t, gates_t, c.before.select(0, t),
                                exact.defined() ? h_t : Tensor()});
  }
  std::vector<Tensor> outputs = {h.after.select(0, steps - 1), c.after.select(0, steps - 1)};
  if (!one) outputs.insert(outputs.begin(), h.after);
  const Variables out = record_all<LstmBackward>(outputs, cell.inputs(), op, cell, gates, h, c);
  return {one ? Variable() : out[0], {out[out.size() - 2], out.back()}};
}

}  // namespace

// pre = x W_ih^T + b_ih + h W_hh^T + b_hh;  i, f, o = sigmoid(pre),  g = tanh(pre);  c' = f c + i g,
// h' = o tanh(c')
LstmState lstm_cell(const Variable& x, const LstmState& state, const Variable& weight_ih,
                    const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  check(x.rank() == 2, ErrorKind::shape, "lstm_cell: the input has to be (n, in), not {}", x.shape());
  return run("lstm_cell", x, state, weight_ih, weight_hh, bias_ih, bias_hh).last;
}

LstmState lstm_cell_composed(const Variable& x, const LstmState& state, const Variable& weight_ih,
                             const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  expect_cell("lstm_cell", x.size(0), x.size(1), state, weight_ih, weight_hh, bias_ih, bias_hh);
  const int64_t h = weight_hh.size(1);
  const Variable pre = linear(x, weight_ih, bias_ih) + linear(state.h, weight_hh, bias_hh);
  const auto gate = [&](int64_t k) { return slice(pre, 1, k * h, (k + 1) * h); };
  const Variable c = sigmoid(gate(1)) * autocast_f32(state.c) + sigmoid(gate(0)) * tanh(gate(2));
  return {autocast_lower(sigmoid(gate(3)) * tanh(c)), c};
}

// lstm_cell for t = 1..T.
LstmSequence lstm_sequence(const Variable& x, const LstmState& state, const Variable& weight_ih,
                           const Variable& weight_hh, const Variable& bias_ih, const Variable& bias_hh) {
  check(x.rank() == 3 && x.size(0) > 0, ErrorKind::shape,
        "lstm_sequence: the input has to be (t, n, in), not {}", x.shape());
  return run("lstm_sequence", x, state, weight_ih, weight_hh, bias_ih, bias_hh);
}

}  // namespace autograd
