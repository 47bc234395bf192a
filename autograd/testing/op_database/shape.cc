#include "autograd/testing/op_database/common.h"
#include "tensor/format.h"

namespace autograd::testing {
namespace {

// A view or copy whose element at index i is the input's at from(i).
OpRecord moving(const char* name,
                const std::vector<std::tuple<Shape, Shape, std::function<Variable(const Variable&)>,
                                             std::function<Index(const Index&)>, std::string>>& cases) {
  OpRecord record{name, "shape"};
  record.any_type = true;
  record.tolerance = {0, 0, "nothing is computed"};
  uint64_t seed = 300;
  for (const auto& [in_shape, out_shape, op, from, label] : cases)
    record.samples.push_back({text(in_shape) + label,
                              {floating(random_array(in_shape, seed++))},
                              [op = op](const Variables& in) { return Variables{op(in[0])}; },
                              [out_shape = out_shape, from = from](const std::vector<Array>& in) {
                                return std::vector<Array>{
                                    make_array(out_shape, [&](const Index& i) { return in[0](from(i)); })};
                              },
                              {}});
  return record;
}

// The index of `shape` that comes as the n-th, where i is the n-th of `other`.
Index same_place(const Index& i, const Shape& other, const Shape& shape) {
  int64_t n = Array(other).place(i);
  Index out(static_cast<size_t>(shape.rank()));
  for (int d = shape.rank(); d-- > 0;) {
    out[static_cast<size_t>(d)] = n % shape[d];
    n /= shape[d];
  }
  return out;
}

auto by_place(const Shape& from, const Shape& to) {
  return [=](const Index& i) { return same_place(i, to, from); };
}

Index same(const Index& i) { return i; }

// Sizes of 1 and what expand adds.
Index expanded(const Index& i) { return {i[1], 0}; }

OpRecord joining(const char* name, bool stacked) {
  OpRecord record{name, "shape"};
  record.any_type = true;
  record.tolerance = {0, 0, "nothing is computed"};
  uint64_t seed = 340;
  struct Case {
    std::vector<Shape> parts;
    int dim;
  };
  std::vector<Case> cases = {
      {{{2, 3}, {2, 3}}, 0}, {{{2, 3}, {2, 3}, {2, 3}}, -1}, {{{1}, {1}}, 0}, {{{2, 2}}, 1}};
  cases.push_back({{{0, 3}, {0, 3}}, 0});
  cases.push_back({{{2, 0}, {2, 0}}, 1});
  if (!stacked) {
    cases.push_back({{{2, 3}, {2, 1}, {2, 0}}, 1});
    cases.push_back({{{0, 3}, {2, 3}}, 0});
    // A vector of nothing fits everything: torch.cat([torch.zeros(0), torch.ones(2, 3)]) is (2, 3).
    cases.push_back({{{0}, {2, 3}, {0}, {2, 1}}, 1});
  }
  for (const Case& c : cases) {
    Sample sample;
    for (const Shape& part : c.parts) {
      sample.label += (sample.label.empty() ? "" : ", ") + text(part);
      sample.inputs.push_back(floating(random_array(part, seed++)));
    }
    sample.label += tensor::format(" along {}", c.dim);
    sample.op = [c, stacked](const Variables& in) {
      return Variables{stacked ? stack(in, c.dim) : cat(in, c.dim)};
    };
    sample.reference = [c, stacked](const std::vector<Array>& in) {
      std::vector<Array> parts;
      for (const Array& part : in)
        if (stacked || part.shape != Shape{0}) parts.push_back(part);
      const int rank = parts[0].shape.rank() + (stacked ? 1 : 0), dim = c.dim < 0 ? c.dim + rank : c.dim;
      Shape shape = parts[0].shape;
      if (stacked) shape.insert(dim, 0);
      shape[dim] = 0;
      for (const Array& part : parts) shape[dim] += stacked ? 1 : part.shape[dim];
      return std::vector<Array>{make_array(shape, [&](Index i) {
        int64_t& k = i[static_cast<size_t>(dim)];
        size_t part = 0;
        while (k >= (stacked ? 1 : parts[part].shape[dim]))
          k -= stacked ? 1 : parts[part++].shape[dim], part += stacked;
        if (stacked) i.erase(i.begin() + dim);
        return parts[part](i);
      })};
    };
    record.samples.push_back(std::move(sample));
  }
  record.errors = {
      refuses("shapes that do not fit",
              [stacked] {
                stacked ? stack({zeros({2, 3}), zeros({2, 4})}, 0) : cat({zeros({2, 3}), zeros({2, 4})}, 0);
              },
              ErrorKind::shape, {name, "(2, 3)", "(2, 4)"}),
      refuses("nothing", [stacked] { stacked ? stack({}, 0) : cat({}, 0); }, ErrorKind::argument, {name})};
  return record;
}

}  // namespace

void add_shape(std::vector<OpRecord>& all) {
  using V = const Variable&;
  all.push_back(
      moving("reshape",
             {{{3, 4},
               {2, 6},
               [](V x) {
                 return reshape(x, {2, 6});
               },
               by_place({3, 4}, {2, 6}),
               " to (2, 6)"},
              {{2, 3, 2},
               {2, 6},
               [](V x) {
                 return reshape(x, {2, -1});
               },
               by_place({2, 3, 2}, {2, 6}),
               " to (2, -1)"},
              {{1}, {}, [](V x) { return reshape(x, {}); }, [](const Index&) { return Index{0}; }, " to ()"},
              {{0, 3},
               {3, 0},
               [](V x) {
                 return reshape(x, {3, 0});
               },
               same,
               " to (3, 0)"},
              {{3, 0},
               {0, 5},
               [](V x) {
                 return reshape(x, {-1, 5});
               },
               same,
               " to (-1, 5)"}}));
  all.back().errors = {refuses("another number of elements",
                               [] {
                                 reshape(zeros({2, 3}), {4});
                               },
                               ErrorKind::shape, {"(2, 3)", "(4)"}),
                       // PyTorch: "the unspecified dimension size -1 can be any value and is ambiguous"
                       refuses("a -1 beside a size of 0",
                               [] {
                                 reshape(zeros({0, 3}), {-1, 0});
                               },
                               ErrorKind::shape, {"reshape", "(0, 3)", "(-1, 0)", "any size"})};
  all.push_back(moving(
      "flatten",
      {{{2, 3, 4}, {24}, [](V x) { return flatten(x); }, by_place({2, 3, 4}, {24}), ""},
       {{2, 3, 4}, {2, 12}, [](V x) { return flatten(x, 1); }, by_place({2, 3, 4}, {2, 12}), " from 1"},
       {{2, 1, 2}, {2, 2}, [](V x) { return flatten(x, 0, 1); }, by_place({2, 1, 2}, {2, 2}), " to 1"},
       {{2, 0, 4}, {0}, [](V x) { return flatten(x); }, same, " of nothing"},
       {{3, 0, 2}, {3, 0}, [](V x) { return flatten(x, 1); }, same, " of nothing from 1"},
       {{1}, {1}, [](V x) { return flatten(x); }, same, " of one"}}));
  all.back().errors = {refuses("a dimension that is not there",
                               [] {
                                 flatten(zeros({2, 3}), 0, 2);
                               },
                               ErrorKind::index, {"flatten", "2"})};
  all.push_back(moving("permute", {{{2, 3, 4},
                                    {4, 2, 3},
                                    [](V x) {
                                      return permute(x, {2, 0, 1});
                                    },
                                    [](const Index& i) {
                                      return Index{i[1], i[2], i[0]};
                                    },
                                    " by 2, 0, 1"},
                                   {{2, 3},
                                    {2, 3},
                                    [](V x) {
                                      return permute(x, {0, 1});
                                    },
                                    same,
                                    " by 0, 1"},
                                   {{1, 3},
                                    {3, 1},
                                    [](V x) {
                                      return permute(x, {-1, 0});
                                    },
                                    [](const Index& i) {
                                      return Index{i[1], i[0]};
                                    },
                                    " by -1, 0"},
                                   {{2, 0, 3},
                                    {3, 2, 0},
                                    [](V x) {
                                      return permute(x, {2, 0, 1});
                                    },
                                    same,
                                    " of nothing"},
                                   {{1}, {1}, [](V x) { return permute(x, {0}); }, same, " of one"}}));
  all.back().errors = {refuses("a dimension twice",
                               [] {
                                 permute(zeros({2, 3}), {0, 0});
                               },
                               ErrorKind::argument, {"permute", "(2, 3)"})};
  all.push_back(
      moving("transpose", {{{2, 3},
                            {3, 2},
                            [](V x) { return transpose(x, 0, 1); },
                            [](const Index& i) {
                              return Index{i[1], i[0]};
                            },
                            ""},
                           {{2, 1, 3},
                            {3, 1, 2},
                            [](V x) { return transpose(x, 0, -1); },
                            [](const Index& i) {
                              return Index{i[2], i[1], i[0]};
                            },
                            " 0 and -1"},
                           {{0, 3}, {3, 0}, [](V x) { return transpose(x, 0, 1); }, same, " of nothing"},
                           {{1, 1}, {1, 1}, [](V x) { return transpose(x, 0, 1); }, same, " of one"}}));
  all.back().errors = {refuses("a dimension that is not there",
                               [] {
                                 transpose(zeros({2, 3}), 0, 2);
                               },
                               ErrorKind::index, {"2"})};
  all.push_back(
      moving("expand",
             {{{3, 1},
               {2, 3, 4},
               [](V x) {
                 return expand(x, {2, 3, 4});
               },
               expanded,
               " to (2, 3, 4)"},
              {{}, {2}, [](V x) { return expand(x, {2}); }, [](const Index&) { return Index{}; }, " to (2)"},
              {{2, 3},
               {2, 3},
               [](V x) {
                 return expand(x, {2, 3});
               },
               same,
               " to itself"},
              {{0},
               {2, 0},
               [](V x) {
                 return expand(x, {2, 0});
               },
               same,
               " to (2, 0)"},
              {{3, 1},
               {3, 0},
               [](V x) {
                 return expand(x, {3, 0});
               },
               same,
               " to (3, 0)"},
              {{1}, {0}, [](V x) { return expand(x, {0}); }, same, " to (0)"}}));
  all.back().errors = {refuses("a size that is not 1",
                               [] {
                                 expand(zeros({2, 3}), {2, 4});
                               },
                               ErrorKind::shape, {"expand", "(2, 3)", "(2, 4)"})};
  all.push_back(moving(
      "unsqueeze",
      {{{2, 3},
        {2, 1, 3},
        [](V x) { return unsqueeze(x, 1); },
        [](const Index& i) {
          return Index{i[0], i[2]};
        },
        " at 1"},
       {{2},
        {2, 1},
        [](V x) { return unsqueeze(x, -1); },
        [](const Index& i) { return Index{i[0]}; },
        " at -1"},
       {{3, 0}, {3, 1, 0}, [](V x) { return unsqueeze(x, 1); }, same, " of nothing"},
       {{}, {1}, [](V x) { return unsqueeze(x, 0); }, [](const Index&) { return Index{}; }, " of one"}}));
  all.back().errors = {refuses("a place that is not there",
                               [] {
                                 unsqueeze(zeros({2, 3}), 4);
                               },
                               ErrorKind::index, {"unsqueeze", "4"})};
  all.push_back(
      moving("squeeze",
             {{{2, 1, 3},
               {2, 3},
               [](V x) { return squeeze(x, 1); },
               [](const Index& i) {
                 return Index{i[0], 0, i[1]};
               },
               " at 1"},
              {{0, 1}, {0}, [](V x) { return squeeze(x, 1); }, same, " of nothing"},
              {{1}, {}, [](V x) { return squeeze(x, 0); }, [](const Index&) { return Index{0}; }, " at 0"}}));
  all.back().errors = {refuses("a size that is not 1",
                               [] {
                                 squeeze(zeros({2, 3}), 1);
                               },
                               ErrorKind::shape, {"squeeze", "(2, 3)"})};
  all.push_back(
      moving("slice", {{{5, 3},
                        {2, 3},
                        [](V x) { return slice(x, 0, 1, 3); },
                        [](const Index& i) {
                          return Index{i[0] + 1, i[1]};
                        },
                        " 1 to 3"},
                       {{2, 7},
                        {2, 3},
                        [](V x) { return slice(x, 1, 1, 7, 2); },
                        [](const Index& i) {
                          return Index{i[0], 2 * i[1] + 1};
                        },
                        " every second"},
                       {{3}, {0}, [](V x) { return slice(x, 0, 2, 2); }, same, " of nothing"},
                       {{0, 3}, {0, 2}, [](V x) { return slice(x, 1, 0, 2); }, same, " of no rows"},
                       {{2, 0}, {1, 0}, [](V x) { return slice(x, 0, 0, 2, 2); }, same, " of no columns"},
                       {{1, 4}, {1, 4}, [](V x) { return slice(x, 1, 0, 4); }, same, " of all"},
                       {{1}, {1}, [](V x) { return slice(x, 0, 0, 1); }, same, " of one"}}));
  all.back().errors = {refuses("beyond the end",
                               [] {
                                 slice(zeros({2, 3}), 1, 0, 4);
                               },
                               ErrorKind::index, {"slice", "(2, 3)", "4"})};
  all.push_back(moving(
      "select",
      {{{2, 3},
        {2},
        [](V x) { return select(x, 1, 2); },
        [](const Index& i) {
          return Index{i[0], 2};
        },
        " column 2"},
       {{2, 3},
        {3},
        [](V x) { return select(x, 0, -1); },
        [](const Index& i) {
          return Index{1, i[0]};
        },
        " the last row"},
       {{3, 0}, {0}, [](V x) { return select(x, 0, 1); }, same, " of no columns"},
       {{1}, {}, [](V x) { return select(x, 0, 0); }, [](const Index&) { return Index{0}; }, " of one"}}));
  all.back().errors = {refuses("beyond the end",
                               [] {
                                 select(zeros({2, 3}), 0, 2);
                               },
                               ErrorKind::index, {"select", "(2, 3)", "2"}),
                       refuses("of nothing",
                               [] {
                                 select(zeros({0, 3}), 0, 0);
                               },
                               ErrorKind::index, {"select", "(0, 3)", "0"})};
  all.push_back(joining("cat", false));
  all.push_back(joining("stack", true));
  all.push_back(moving("contiguous", {{{2, 3}, {2, 3}, [](V x) { return contiguous(x); }, same, ""},
                                      {{2, 3},
                                       {3, 2},
                                       [](V x) { return contiguous(transpose(x, 0, 1)); },
                                       [](const Index& i) {
                                         return Index{i[1], i[0]};
                                       },
                                       " transposed"},
                                      {{0}, {0}, [](V x) { return contiguous(x); }, same, " of nothing"}}));
  all.push_back(moving(
      "to", {{{2, 3}, {2, 3}, [](V x) { return to(to(x, DType::f64), x.dtype()); }, same, " there and back"},
             {{0, 3}, {0, 3}, [](V x) { return to(to(x, DType::f64), x.dtype()); }, same, " of nothing"},
             {{}, {}, [](V x) { return to(x, x.dtype()); }, same, " to its own type"}}));
  all.back().errors = {refuses("a type that is not floating", [] { to(zeros({2}), DType::i64); },
                               ErrorKind::dtype, {"to", "i64"})};
}

}  // namespace autograd::testing
