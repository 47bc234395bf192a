// Views and rearrangements.
#include <algorithm>

#include "autograd/ops/common.h"

namespace autograd {
namespace {

int dim_of(const Variable& x, int dim, const char* op) { return tensor::normalize_dim(dim, x.rank(), op); }

}  // namespace

// The gradient in the input's shape. Also for flatten, unsqueeze and squeeze.
class ReshapeBackward final : public Node {
 public:
  ReshapeBackward(const char* name, const Shape& shape) : Node(name), shape_(shape) {}
  Variables apply(const Variables& g) override { return {reshape(g[0], shape_)}; }

 private:
  Shape shape_;
};

Variable reshape(const Variable& x, const Shape& shape) {
  return record<ReshapeBackward>(x.data().reshape(shape), {x}, "reshape", x.shape());
}

Variable flatten(const Variable& x, int first, int last) {
  return record<ReshapeBackward>(x.data().flatten(first, last), {x}, "flatten", x.shape());
}

Variable unsqueeze(const Variable& x, int dim) {
  return record<ReshapeBackward>(x.data().unsqueeze(dim), {x}, "unsqueeze", x.shape());
}

Variable squeeze(const Variable& x, int dim) {
  return record<ReshapeBackward>(x.data().squeeze(dim), {x}, "squeeze", x.shape());
}

// The gradient in the inverse order.
class PermuteBackward final : public Node {
 public:
  explicit PermuteBackward(std::vector<int> inverse) : Node("permute"), inverse_(std::move(inverse)) {}
  Variables apply(const Variables& g) override { return {permute(g[0], inverse_)}; }

 private:
  std::vector<int> inverse_;
};

Variable permute(const Variable& x, const std::vector<int>& order) {
  Tensor out = x.data().permute(order);
  std::vector<int> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    inverse[static_cast<size_t>(dim_of(x, order[i], "permute"))] = static_cast<int>(i);
  return record<PermuteBackward>(out, {x}, std::move(inverse));
}

class TransposeBackward final : public Node {
 public:
  TransposeBackward(int a, int b) : Node("transpose"), a_(a), b_(b) {}
  Variables apply(const Variables& g) override { return {transpose(g[0], a_, b_)}; }

 private:
  int a_, b_;
};

Variable transpose(const Variable& x, int a, int b) {
  return record<TransposeBackward>(x.data().transpose(a, b), {x}, a, b);
}

// The engine sums the gradient over the dimensions that were stretched.
class ExpandBackward final : public Node {
 public:
  ExpandBackward() : Node("expand") {}
  Variables apply(const Variables& g) override { return {g[0]}; }
};

Variable expand(const Variable& x, const Shape& shape) {
  return record<ExpandBackward>(x.data().expand(shape), {x});
}

namespace {

struct Range {
  int dim;
  int64_t start, stop, step;
};

Variable embed_slice(const Variable& x, const Shape& shape, const Range& range);

// The gradient at the slice's place in zeros of the input's shape.
class SliceBackward final : public Node {
 public:
  SliceBackward(const Shape& shape, const Range& range) : Node("slice"), shape_(shape), range_(range) {}
  Variables apply(const Variables& g) override { return {embed_slice(g[0], shape_, range_)}; }

 private:
  Shape shape_;
  Range range_;
};

class EmbedSliceBackward final : public Node {
 public:
  explicit EmbedSliceBackward(const Range& range) : Node("slice_backward"), range_(range) {}
  Variables apply(const Variables& g) override {
    return {slice(g[0], range_.dim, range_.start, range_.stop, range_.step)};
  }

 private:
  Range range_;
};

// Zeros of `shape` with `x` in the slice: the transpose of slice.
Variable embed_slice(const Variable& x, const Shape& shape, const Range& range) {
  Tensor out = Tensor::zeros(shape, x.dtype(), x.device());
  Tensor part = out.slice(range.dim, range.start, range.stop, range.step);
  tensor::kernels::copy(part, x.data());
  return record<EmbedSliceBackward>(out, {x}, range);
}

}  // namespace

Variable slice(const Variable& x, int dim, int64_t start, int64_t stop, int64_t step) {
  const Tensor out = x.data().slice(dim, start, stop, step);
  return record<SliceBackward>(out, {x}, x.shape(), Range{dim_of(x, dim, "slice"), start, stop, step});
}

class SelectBackward final : public Node {
 public:
  SelectBackward(const Shape& shape, int dim, int64_t index)
      : Node("select"), shape_(shape), dim_(dim), index_(index) {}
  Variables apply(const Variables& g) override {
    return {embed_slice(unsqueeze(g[0], dim_), shape_, {dim_, index_, index_ + 1, 1})};
  }

 private:
  Shape shape_;
  int dim_;
  int64_t index_;
};

Variable select(const Variable& x, int dim, int64_t index) {
  const Tensor out = x.data().select(dim, index);
  const int d = dim_of(x, dim, "select");
  return record<SelectBackward>(out, {x}, x.shape(), d, index < 0 ? index + x.size(d) : index);
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

class ContiguousBackward final : public Node {
 public:
  ContiguousBackward() : Node("contiguous") {}
  Variables apply(const Variables& g) override { return {g[0]}; }
};

Variable contiguous(const Variable& x) {
  return x.data().is_contiguous() ? x : record<ContiguousBackward>(x.data().contiguous(), {x});
}

// The gradient in the input's type.
class ToBackward final : public Node {
 public:
  explicit ToBackward(DType from) : Node("to"), from_(from) {}
  Variables apply(const Variables& g) override { return {to(g[0], from_)}; }

 private:
  DType from_;
};

Variable to(const Variable& x, DType dtype) {
  check(tensor::is_floating(x.dtype()) && tensor::is_floating(dtype), ErrorKind::dtype,
        "to: only floating types are converted with a gradient, not {} to {}", tensor::describe(x.data()),
        tensor::name_of(dtype));
  return dtype == x.dtype() ? x : record<ToBackward>(x.data().to(dtype), {x}, x.dtype());
}

}  // namespace autograd
