#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

constexpr Tolerance kExact = {.f32 = 0, .f64 = 0, .reason = "nothing is computed"};

using Op = std::function<Variable(const Variable&)>;
using Places = std::function<Index(const Index&)>;

// The record of an op that gives a view or a copy.
class Moving {
 public:
  explicit Moving(const char* name) : record_{.name = name, .tolerance = kExact, .any_type = true} {}

  // The result's element at index i is the input's at from(i).
  Moving& add(const Shape& in, const Shape& out, const Op& op, const Places& from, const std::string& how) {
    record_.samples.push_back({.label = text(in) + how,
                               .inputs = {floating(draw_(in))},
                               .op = one([op](const Variables& x) { return op(x[0]); }),
                               .reference = one_array([=](const std::vector<Array>& x) {
                                 return make_array(out, [&](const Index& i) { return x[0](from(i)); });
                               })});
    return *this;
  }
  // Its n-th element is the input's n-th.
  Moving& add(const Shape& in, const Shape& out, const Op& op, const std::string& how) {
    const auto from = [=](const Index& i) {
      int64_t n = Array(out).place(i);
      Index index(static_cast<size_t>(in.rank()));
      for (int d = in.rank(); d-- > 0; n /= in[d]) index[static_cast<size_t>(d)] = n % in[d];
      return index;
    };
    return add(in, out, op, from, how);
  }
  Moving& error(const char* label, const std::function<void()>& call, ErrorKind kind,
                const std::vector<std::string>& says) {
    record_.errors.push_back(refuses(label, call, kind, says));
    return *this;
  }
  Moving& sums_gradients() {
    record_.sums_gradients = true;
    return *this;
  }
  operator OpRecord() const { return record_; }  // NOLINT(google-explicit-constructor)

 private:
  OpRecord record_;
  Draws draw_{300};
};

OpRecord reshape_op() {
  const auto to = [](const Shape& s) { return [s](const Variable& x) { return reshape(x, s); }; };
  return Moving("reshape")
      .add({3, 4}, {2, 6}, to({2, 6}), " to (2, 6)")
      .add({2, 3, 2}, {2, 6}, to({2, -1}), " to (2, -1)")
      .add({1}, {}, to({}), " to ()")
      .add({0, 3}, {3, 0}, to({3, 0}), " to (3, 0)")
      .add({3, 0}, {0, 5}, to({-1, 5}), " to (-1, 5)")
      .error("another number of elements", [] { reshape(zeros(2, 3), {4}); }, ErrorKind::shape,
             {"(2, 3)", "(4)"})
      // PyTorch: "the unspecified dimension size -1 can be any value and is ambiguous"
      .error("a -1 beside a size of 0",
             [] {
               reshape(zeros(0, 3), Shape{-1, 0});
             },
             ErrorKind::shape, {"reshape", "(0, 3)", "(-1, 0)", "any size"});
}

OpRecord flatten_op() {
  const auto from = [](int first, int last = -1) {
    return [=](const Variable& x) { return flatten(x, first, last); };
  };
  return Moving("flatten")
      .add({2, 3, 4}, {24}, from(0), "")
      .add({2, 3, 4}, {2, 12}, from(1), " from 1")
      .add({2, 1, 2}, {2, 2}, from(0, 1), " to 1")
      .add({2, 0, 4}, {0}, from(0), " of nothing")
      .add({3, 0, 2}, {3, 0}, from(1), " of nothing from 1")
      .add({1}, {1}, from(0), " of one")
      .error("a dimension that is not there", [] { flatten(zeros(2, 3), 0, 2); }, ErrorKind::index,
             {"flatten", "2"});
}

// Dimension d of the result is dimension order[d] of the input.
Places permuted(const std::vector<size_t>& order) {
  return [order](const Index& i) {
    Index from(i.size());
    for (size_t d = 0; d < i.size(); ++d) from[order[d]] = i[d];
    return from;
  };
}

OpRecord permute_op() {
  const auto by = [](const std::vector<int>& order) {
    return [order](const Variable& x) { return permute(x, order); };
  };
  return Moving("permute")
      .add({2, 3, 4}, {4, 2, 3}, by({2, 0, 1}), permuted({2, 0, 1}), " by 2, 0, 1")
      .add({2, 3}, {2, 3}, by({0, 1}), " by 0, 1")
      .add({1, 3}, {3, 1}, by({-1, 0}), permuted({1, 0}), " by -1, 0")
      .add({2, 0, 3}, {3, 2, 0}, by({2, 0, 1}), " of nothing")
      .add({1}, {1}, by({0}), " of one")
      .error("a dimension twice",
             [] {
               permute(zeros(2, 3), std::vector{0, 0});
             },
             ErrorKind::argument, {"permute", "(2, 3)"});
}

OpRecord transpose_op() {
  const auto of = [](int a, int b) { return [=](const Variable& x) { return transpose(x, a, b); }; };
  return Moving("transpose")
      .add({2, 3}, {3, 2}, of(0, 1), permuted({1, 0}), "")
      .add({2, 1, 3}, {3, 1, 2}, of(0, -1), permuted({2, 1, 0}), " 0 and -1")
      .add({0, 3}, {3, 0}, of(0, 1), " of nothing")
      .add({1, 1}, {1, 1}, of(0, 1), " of one")
      .error("a dimension that is not there", [] { transpose(zeros(2, 3), 0, 2); }, ErrorKind::index, {"2"});
}

OpRecord expand_op() {
  const auto to = [](const Shape& s) { return [s](const Variable& x) { return expand(x, s); }; };
  const auto stretched = [](const Shape& from) {
    return [from](const Index& i) { return broadcast_index(from, i); };
  };
  return Moving("expand")
      .sums_gradients()
      .add({3, 1}, {2, 3, 4}, to({2, 3, 4}), stretched({3, 1}), " to (2, 3, 4)")
      .add({}, {2}, to({2}), stretched({}), " to (2)")
      .add({2, 3}, {2, 3}, to({2, 3}), " to itself")
      .add({0}, {2, 0}, to({2, 0}), " to (2, 0)")
      .add({3, 1}, {3, 0}, to({3, 0}), " to (3, 0)")
      .add({1}, {0}, to({0}), " to (0)")
      .error("a size that is not 1",
             [] {
               expand(zeros(2, 3), Shape{2, 4});
             },
             ErrorKind::shape, {"expand", "(2, 3)", "(2, 4)"});
}

OpRecord unsqueeze_op() {
  const auto at = [](int dim) { return [dim](const Variable& x) { return unsqueeze(x, dim); }; };
  return Moving("unsqueeze")
      .add({2, 3}, {2, 1, 3}, at(1), " at 1")
      .add({2}, {2, 1}, at(-1), " at -1")
      .add({3, 0}, {3, 1, 0}, at(1), " of nothing")
      .add({}, {1}, at(0), " of one")
      .error("a place that is not there", [] { unsqueeze(zeros(2, 3), 4); }, ErrorKind::index,
             {"unsqueeze", "4"});
}

OpRecord squeeze_op() {
  const auto at = [](int dim) { return [dim](const Variable& x) { return squeeze(x, dim); }; };
  return Moving("squeeze")
      .add({2, 1, 3}, {2, 3}, at(1), " at 1")
      .add({0, 1}, {0}, at(1), " of nothing")
      .add({1}, {}, at(0), " at 0")
      .error("a size that is not 1", [] { squeeze(zeros(2, 3), 1); }, ErrorKind::shape,
             {"squeeze", "(2, 3)"});
}

OpRecord slice_op() {
  const auto of = [](int dim, int64_t start, int64_t stop, int64_t step = 1) {
    return [=](const Variable& x) { return slice(x, dim, start, stop, step); };
  };
  const auto from = [](size_t dim, int64_t start, int64_t step) {
    return [=](Index i) {
      i[dim] = start + step * i[dim];
      return i;
    };
  };
  return Moving("slice")
      .add({5, 3}, {2, 3}, of(0, 1, 3), from(0, 1, 1), " 1 to 3")
      .add({2, 7}, {2, 3}, of(1, 1, 7, 2), from(1, 1, 2), " every second")
      .add({3}, {0}, of(0, 2, 2), " of nothing")
      .add({0, 3}, {0, 2}, of(1, 0, 2), " of no rows")
      .add({2, 0}, {1, 0}, of(0, 0, 2, 2), " of no columns")
      .add({1, 4}, {1, 4}, of(1, 0, 4), " of all")
      .add({1}, {1}, of(0, 0, 1), " of one")
      .error("beyond the end", [] { slice(zeros(2, 3), 1, 0, 4); }, ErrorKind::index,
             {"slice", "(2, 3)", "4"});
}

OpRecord select_op() {
  const auto of = [](int dim, int64_t k) { return [=](const Variable& x) { return select(x, dim, k); }; };
  const auto from = [](int dim, int64_t k) {
    return [=](Index i) {
      i.insert(i.begin() + dim, k);
      return i;
    };
  };
  return Moving("select")
      .add({2, 3}, {2}, of(1, 2), from(1, 2), " column 2")
      .add({2, 3}, {3}, of(0, -1), from(0, 1), " the last row")
      .add({3, 0}, {0}, of(0, 1), from(0, 1), " of no columns")
      .add({1}, {}, of(0, 0), from(0, 0), " of one")
      .error("beyond the end", [] { select(zeros(2, 3), 0, 2); }, ErrorKind::index, {"select", "(2, 3)", "2"})
      .error("of nothing", [] { select(zeros(0, 3), 0, 0); }, ErrorKind::index, {"select", "(0, 3)", "0"});
}

OpRecord contiguous_op() {
  const Op itself = [](const Variable& x) { return contiguous(x); };
  return Moving("contiguous")
      .add({2, 3}, {2, 3}, itself, "")
      .add(
          {2, 3}, {3, 2}, [](const Variable& x) { return contiguous(transpose(x, 0, 1)); }, permuted({1, 0}),
          " transposed")
      .add({0}, {0}, itself, " of nothing");
}

OpRecord to_op() {
  const Op there_and_back = [](const Variable& x) { return to(to(x, DType::f64), x.dtype()); };
  return Moving("to")
      .add({2, 3}, {2, 3}, there_and_back, " there and back")
      .add({0, 3}, {0, 3}, there_and_back, " of nothing")
      .add(
          {}, {}, [](const Variable& x) { return to(x, x.dtype()); }, " to its own type")
      .error("a type that is not floating", [] { to(zeros(2), DType::i64); }, ErrorKind::dtype,
             {"to", "i64"});
}

// --- of several tensors

// The parts one after another along `dim`.
Array joined(const std::vector<Array>& parts, int dim) {
  Shape shape = parts[0].shape;
  shape[dim] = 0;
  for (const Array& part : parts) shape[dim] += part.shape[dim];
  return make_array(shape, [&](Index i) {
    size_t part = 0;
    for (int64_t& k = i[static_cast<size_t>(dim)]; k >= parts[part].shape[dim];)
      k -= parts[part++].shape[dim];
    return parts[part](i);
  });
}

struct Joint {
  std::vector<Shape> parts;
  int dim;
};

OpRecord join_op(const char* name, Variable (*op)(const Variables&, int), bool stacked,
                 const std::vector<Joint>& more = {}) {
  OpRecord record{.name = name, .tolerance = kExact, .any_type = true};
  std::vector<Joint> cases = {{{{2, 3}, {2, 3}}, 0}, {{{2, 3}, {2, 3}, {2, 3}}, -1}, {{{1}, {1}}, 0},
                              {{{2, 2}}, 1},         {{{0, 3}, {0, 3}}, 0},          {{{2, 0}, {2, 0}}, 1}};
  cases.insert(cases.end(), more.begin(), more.end());
  Draws draw(340);
  for (const Joint& c : cases) {
    Sample sample{.label = tensor::format("{} along {}", tensor::join(c.parts, ", "), c.dim)};
    for (const Shape& part : c.parts) sample.inputs.push_back(floating(draw(part)));
    sample.op = one([=](const Variables& in) { return op(in, c.dim); });
    sample.reference = one_array([=](std::vector<Array> parts) {
      if (!stacked) std::erase_if(parts, [](const Array& part) { return part.shape == Shape{0}; });
      const int rank = parts[0].shape.rank() + (stacked ? 1 : 0), dim = c.dim < 0 ? c.dim + rank : c.dim;
      if (stacked)
        for (Array& part : parts) part.shape.insert(dim, 1);
      return joined(parts, dim);
    });
    record.samples.push_back(std::move(sample));
  }
  record.errors = {refuses("shapes that do not fit",
                           [op] {
                             op({zeros(2, 3), zeros(2, 4)}, 0);
                           },
                           ErrorKind::shape, {name, "(2, 3)", "(2, 4)"}),
                   refuses("nothing", [op] { op({}, 0); }, ErrorKind::argument, {name})};
  return record;
}

}  // namespace

std::vector<OpRecord> shape_ops() {
  // A vector of nothing fits everything: torch.cat([torch.zeros(0), torch.ones(2, 3)]) is (2, 3).
  const std::vector<Joint> of_different_sizes = {
      {{{2, 3}, {2, 1}, {2, 0}}, 1}, {{{0, 3}, {2, 3}}, 0}, {{{0}, {2, 3}, {0}, {2, 1}}, 1}};
  return {reshape_op(),
          flatten_op(),
          permute_op(),
          transpose_op(),
          expand_op(),
          unsqueeze_op(),
          squeeze_op(),
          slice_op(),
          select_op(),
          join_op("cat", cat, false, of_different_sizes),
          join_op("stack", stack, true),
          contiguous_op(),
          to_op()};
}

}  // namespace autograd::testing
