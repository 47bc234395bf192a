#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

void expect_table(const Tensor& weight, const Tensor& ids, const Tensor& out) {
  check(weight.rank() == 2, ErrorKind::shape, "embedding: the weight has to be (words, width), not {}",
        weight.shape());
  check(ids.dtype() == DType::i64, ErrorKind::dtype, "embedding: the ids are {}, not i64", describe(ids));
  Shape expected = ids.shape();
  expected.push_back(weight.size(1));
  check(out.shape() == expected, ErrorKind::shape, "embedding: ids {} of weight {} give {}, not {}",
        ids.shape(), weight.shape(), to_string(expected), out.shape());
  check(same_type(out, weight), ErrorKind::dtype, "embedding: {} and {} do not mix", describe(weight),
        describe(out));
}

}  // namespace

void embedding(Tensor& out, const Tensor& weight, const Tensor& ids) {
  expect_table(weight, ids, out);
  check(out.dtype() == weight.dtype(), ErrorKind::dtype, "embedding: {} into {}", describe(weight),
        describe(out));
  check(out.is_contiguous(), ErrorKind::argument, "embedding: the output {} is not contiguous",
        describe(out));
}

void embedding_backward(Tensor& dweight, const Tensor& dout, const Tensor& ids) {
  expect_table(dweight, ids, dout);
  check(dweight.is_contiguous(), ErrorKind::argument, "embedding: the gradient {} is not contiguous",
        describe(dweight));
}

}  // namespace tensor::checks
