// Dropout, the LSTM cell and additive attention.
#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

void expect_rows(const Tensor& x, int64_t n, int64_t columns, const char* op, const char* what) {
  check(x.rank() == 2 && x.size(0) == n && x.size(1) == columns, ErrorKind::shape, "{}: {} is {}, not {}", op,
        what, x.shape(), to_string(Shape{n, columns}));
  check(columns <= 1 || x.strides()[1] == 1, ErrorKind::argument,
        "{}: the columns of {} have to be contiguous", op, what);
}

// A tensor once more, in 16 bits, if it is wanted.
void expect_operand(const Tensor& operand, const Tensor& of, const char* op, const char* what) {
  if (!operand.defined()) return;
  expect_rows(operand, of.size(0), of.size(1), op, what);
  check(is_half(operand.dtype()) && same_type(operand, of), ErrorKind::dtype, "{}: {} is {}, beside {}", op,
        what, describe(operand), describe(of));
}

void expect_attention(const char* op, const Tensor& context, const Tensor& alpha, const Tensor& keys,
                      const Tensor& values, const Tensor& query, const Tensor& image, const Tensor& v) {
  check(keys.rank() == 3 && values.rank() == 3, ErrorKind::shape,
        "{}: keys {} and values {} have to be (m, p, .)", op, keys.shape(), values.shape());
  check(values.size(0) == keys.size(0) && values.size(1) == keys.size(1), ErrorKind::shape,
        "{}: keys {} with values {}", op, keys.shape(), values.shape());
  check(keys.size(1) > 0, ErrorKind::shape, "{}: no places to look at in keys {}", op, keys.shape());
  check(query.rank() == 2 && query.size(1) == keys.size(2) && v.shape() == Shape{keys.size(2)},
        ErrorKind::shape, "{}: query {} and v {} with keys {}", op, query.shape(), v.shape(), keys.shape());
  const int64_t rows = query.size(0);
  check(image.shape() == Shape{rows} && context.shape() == Shape{rows, values.size(2)} &&
            alpha.shape() == Shape{rows, keys.size(1)},
        ErrorKind::shape, "{}: image {}, context {} and alpha {} for {} queries", op, image.shape(),
        context.shape(), alpha.shape(), rows);
  check(image.dtype() == DType::i64, ErrorKind::dtype, "{}: the images of rows are {}, not i64", op,
        describe(image));
  for (const Tensor* x : {&context, &alpha, &values, &query, &v})
    check(same_type(*x, keys), ErrorKind::dtype, "{}: {} with keys {}", op, describe(*x), describe(keys));
  check(alpha.is_contiguous(), ErrorKind::argument, "{}: alpha {} is not contiguous", op, describe(alpha));
}

}  // namespace

void dropout(Tensor& out, const Tensor& x, DropoutMask mask) {
  check(mask.p >= 0 && mask.p <= 1, ErrorKind::argument, "dropout: the probability {} is not between 0 and 1",
        mask.p);
  if (mask.origin.defined()) expect_origin(mask.origin, "dropout");
  check(out.shape() == x.shape(), ErrorKind::shape, "dropout: {} into {}", x.shape(), out.shape());
  check(same_type(out, x), ErrorKind::dtype, "dropout: {} into {}", describe(x), describe(out));
  check(out.is_contiguous() && x.is_contiguous(), ErrorKind::argument, "dropout: {} has to be contiguous",
        describe(x));
}

void lstm_cell(LstmCell a) {
  const int64_t n = a.h.size(0), hidden = a.h.size(-1);
  expect_rows(a.h, n, hidden, "lstm_cell", "h");
  expect_rows(a.c, n, hidden, "lstm_cell", "c");
  expect_rows(a.c_prev, n, hidden, "lstm_cell", "the former c");
  expect_rows(a.gates, n, 4 * hidden, "lstm_cell", "the gates");
  expect_rows(a.pre, n, 4 * hidden, "lstm_cell", "the input of the gates");
  for (const Tensor* x : {&a.c, &a.gates, &a.pre, &a.c_prev})
    check(same_type(*x, a.h), ErrorKind::dtype, "lstm_cell: {} with h {}", describe(*x), describe(a.h));
  expect_operand(a.h_operand, a.h, "lstm_cell", "h as an operand");
}

void lstm_cell_backward(LstmCellBackward a) {
  const int64_t n = a.dh.size(0), hidden = a.dh.size(-1);
  expect_rows(a.dpre, n, 4 * hidden, "lstm_cell_backward", "dpre");
  expect_rows(a.gates, n, 4 * hidden, "lstm_cell_backward", "the gates");
  for (const Tensor* x : {&a.dc_prev, &a.dh, &a.dc, &a.c, &a.c_prev})
    expect_rows(*x, n, hidden, "lstm_cell_backward", "a state or its gradient");
  for (const Tensor* x : {&a.dpre, &a.gates, &a.dc_prev, &a.dc, &a.c, &a.c_prev})
    check(same_type(*x, a.dh), ErrorKind::dtype, "lstm_cell_backward: {} with dh {}", describe(*x),
          describe(a.dh));
  expect_operand(a.dpre_operand, a.dpre, "lstm_cell_backward", "dpre as an operand");
}

void additive_attention(AdditiveAttention a) {
  expect_attention("additive_attention", a.context, a.alpha, a.keys, a.values, a.query, a.image, a.v);
  check(a.context.size(1) <= 1 || a.context.strides()[1] == 1, ErrorKind::argument,
        "additive_attention: the columns of context have to be contiguous");
  check(!a.v_bias.defined() || (a.v_bias.numel() == 1 && same_type(a.v_bias, a.keys)), ErrorKind::shape,
        "additive_attention: v_bias {} must be one value like keys {}", describe(a.v_bias), describe(a.keys));
}

void additive_attention_backward(AdditiveAttentionBackward a) {
  const char* op = "additive_attention_backward";
  expect_attention(op, a.dcontext, a.alpha, a.keys, a.values, a.query, a.image, a.v);
  const auto expect_gradient = [&](const Tensor& gradient, const Tensor& of, const char* what) {
    check(gradient.shape() == of.shape() && same_type(gradient, of), ErrorKind::shape, "{}: {} {} for {}", op,
          what, describe(gradient), describe(of));
  };
  expect_gradient(a.dquery, a.query, "dquery");
  check(a.dquery.size(1) <= 1 || a.dquery.strides()[1] == 1, ErrorKind::argument,
        "{}: the columns of dquery have to be contiguous", op);
  for (const Tensor* x : {&a.dkeys, &a.dvalues, &a.dv})
    if (x->defined()) expect_contiguous(op, {{"gradient", *x}});
  check(!a.dv_bias.defined() || (a.dv_bias.numel() == 1 && same_type(a.dv_bias, a.keys)), ErrorKind::shape,
        "{}: dv_bias {} must be one value like keys {}", op, describe(a.dv_bias), describe(a.keys));
  expect_gradient(a.dkeys, a.keys, "dkeys");
  expect_gradient(a.dv, a.v, "dv");
  if (a.dvalues.defined()) expect_gradient(a.dvalues, a.values, "dvalues");
  if (a.dalpha.defined()) expect_gradient(a.dalpha, a.alpha, "dalpha");
}

}  // namespace tensor::checks
