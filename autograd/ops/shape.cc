// Views and rearrangements.
#include <algorithm>

#include "autograd/ops/common.h"

namespace autograd {
namespace {

int dim_of(const Variable& x, int dim, const char* op) { return tensor::normalize_dim(dim, x.rank(), op); }

// The same elements in the same order: the gradient in the input's shape.
Variable reshaped(const char* name, const Tensor& out, const Variable& x) {
  return record_unary(name, out, x, [shape = x.shape()](const Variable& g) { return reshape(g, shape); });
}

Variable identity(const Variable& x) { return x; }

struct Range {
  int dim;
  int64_t start, stop, step;
};

// Zeros of `shape` with `x` in the slice: the transpose of slice.
Variable embed_slice(const Variable& x, const Shape& shape, const Range& r) {
  Tensor out = Tensor::zeros(shape, x.dtype(), x.device());
  Tensor part = out.slice(r.dim, r.start, r.stop, r.step);
  tensor::kernels::copy(part, x.data());
  return record_unary("slice_backward", out, x,
                      [r](const Variable& g) { return slice(g, r.dim, r.start, r.stop, r.step); });
}

}  // namespace

Variable reshape(const Variable& x, const Shape& shape) {
  return reshaped("reshape", x.data().reshape(shape), x);
}

Variable flatten(const Variable& x, int first, int last) {
  return reshaped("flatten", x.data().flatten(first, last), x);
}

Variable unsqueeze(const Variable& x, int dim) { return reshaped("unsqueeze", x.data().unsqueeze(dim), x); }

Variable squeeze(const Variable& x, int dim) { return reshaped("squeeze", x.data().squeeze(dim), x); }

// The gradient in the inverse order.
Variable permute(const Variable& x, const std::vector<int>& order) {
  const Tensor out = x.data().permute(order);
  std::vector<int> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    inverse[static_cast<size_t>(dim_of(x, order[i], "permute"))] = static_cast<int>(i);
  return record_unary("permute", out, x, [inverse](const Variable& g) { return permute(g, inverse); });
}

Variable transpose(const Variable& x, int a, int b) {
  return record_unary("transpose", x.data().transpose(a, b), x,
                      [=](const Variable& g) { return transpose(g, a, b); });
}

// The engine sums the gradient over the dimensions that were stretched.
Variable expand(const Variable& x, const Shape& shape) {
  return record_unary("expand", x.data().expand(shape), x, identity);
}

// The gradient at the slice's place in zeros of the input's shape.
Variable slice(const Variable& x, int dim, int64_t start, int64_t stop, int64_t step) {
  const Tensor out = x.data().slice(dim, start, stop, step);
  const Range range{dim_of(x, dim, "slice"), start, stop, step};
  return record_unary("slice", out, x,
                      [range, shape = x.shape()](const Variable& g) { return embed_slice(g, shape, range); });
}

Variable select(const Variable& x, int dim, int64_t index) {
  const Tensor out = x.data().select(dim, index);
  const int d = dim_of(x, dim, "select");
  const int64_t at = index < 0 ? index + x.size(d) : index;
  return record_unary("select", out, x, [=, shape = x.shape()](const Variable& g) {
    return embed_slice(unsqueeze(g, d), shape, {d, at, at + 1, 1});
  });
}

// Each part gets its slice of the gradient.
class CatBackward final : public Node {
 public:
  CatBackward(int dim, std::vector<int64_t> sizes) : Node("cat"), dim_(dim), sizes_(std::move(sizes)) {}
  Variables apply(const Variables& g) override {
    Variables parts(sizes_.size());
    int64_t start = 0;
    for (size_t i = 0; i < sizes_.size(); start += sizes_[i++]) {
      if (!needs(static_cast<int>(i))) continue;
      parts[i] = slice(g[0], dim_, start, start + sizes_[i]);
      if (input_metas()[i].shape == Shape{0})
        parts[i] = reshape(parts[i], {0});  // of whatever rank the rest is
    }
    return parts;
  }

 private:
  int dim_;
  std::vector<int64_t> sizes_;
};

Variable cat(const Variables& parts, int dim) {
  check(!parts.empty(), ErrorKind::argument, "cat: no tensors were given");
  if (const auto type = autocast_promoted(parts)) {
    Variables promoted;
    for (const Variable& part : parts) promoted.push_back(to(part, *type));
    return cat(promoted, dim);
  }
  // A vector of nothing fits everything, as in PyTorch: what a loop that appends begins with.
  const auto counts = [](const Variable& part) { return part.shape() != Shape{0}; };
  const auto found = std::find_if(parts.begin(), parts.end(), counts);
  const Variable& model = found == parts.end() ? parts[0] : *found;
  const Tensor& first = model.data();
  const int d = found == parts.end() ? 0 : dim_of(model, dim, "cat");
  Shape shape = first.shape();
  std::vector<int64_t> sizes;
  shape[d] = 0;
  for (const Variable& part : parts) {
    check(part.dtype() == first.dtype(), ErrorKind::dtype, "cat: {} and {} do not mix; convert one with to()",
          tensor::describe(first), tensor::describe(part.data()));
    expect_same_device(first, part.data(), "cat");
    if (!counts(part)) {
      sizes.push_back(0);
      continue;
    }
    Shape expected = first.shape();
    if (part.rank() == first.rank()) expected[d] = part.size(d);
    check(part.shape() == expected, ErrorKind::shape, "cat: {} and {} differ in more than dimension {}",
          first.shape(), part.shape(), d);
    sizes.push_back(part.size(d));
    shape[d] += part.size(d);
  }
  Tensor out = empty_like(first, shape);
  int64_t start = 0;
  for (const Variable& part : parts) {
    if (!counts(part)) continue;
    Tensor place = out.slice(d, start, start + part.size(d));
    tensor::kernels::copy(place, part.data());
    start += part.size(d);
  }
  return record<CatBackward>(out, parts, d, std::move(sizes));
}

// cat of the parts with a new dimension, so its backward is theirs.
Variable stack(const Variables& parts, int dim) {
  check(!parts.empty(), ErrorKind::argument, "stack: no tensors were given");
  Variables rows;
  for (const Variable& part : parts) {
    check(part.shape() == parts[0].shape(), ErrorKind::shape, "stack: {} and {} differ", parts[0].shape(),
          part.shape());
    rows.push_back(unsqueeze(part, dim));
  }
  return cat(rows, dim);
}

Variable contiguous(const Variable& x) {
  return x.data().is_contiguous() ? x : record_unary("contiguous", x.data().contiguous(), x, identity);
}

// The gradient in the input's type.
Variable to(const Variable& x, DType dtype) {
  check(tensor::is_floating(x.dtype()) && tensor::is_floating(dtype), ErrorKind::dtype,
        "to: only floating types are converted with a gradient, not {} to {}", tensor::describe(x.data()),
        tensor::name_of(dtype));
  if (dtype == x.dtype()) return x;
  return record_unary("to", x.data().to(dtype), x,
                      [from = x.dtype()](const Variable& g) { return to(g, from); });
}

}  // namespace autograd
