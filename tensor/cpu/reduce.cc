#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/cpu/strided.h"
#include "tensor/cpu/sums.h"
#include "tensor/cpu/vector_math.h"
#include "tensor/kernels.h"

// Everything is reduced in double, in tiles whose bounds depend on the shape alone, and then the tiles'
// results: the same with any number of threads.
namespace tensor::cpu {
namespace {

constexpr int64_t kTile = 16384;  // elements per tile
constexpr int64_t kColumns = 512;

struct Sum {
  static constexpr double start = 0;
  static double join(double a, double b) { return a + b; }
};
struct Max {  // NaN wins
  static constexpr double start = -std::numeric_limits<double>::infinity();
  static double join(double a, double b) { return b > a || b != b ? b : a; }
};
struct Min {
  static constexpr double start = std::numeric_limits<double>::infinity();
  static double join(double a, double b) { return b < a || b != b ? b : a; }
};

template <class Op, class T>
double reduce_run(const T* x, int64_t n, int64_t stride) {
  if constexpr (std::is_same_v<Op, Sum>) {
    if (stride == 1) return wide_sum(0, n, [x](int64_t i) { return x[i]; });
    return wide_sum(0, n, [x, stride](int64_t i) { return x[i * stride]; });
  } else {
    constexpr bool least = std::is_same_v<Op, Min>;
    if (stride == 1) return static_cast<double>(extreme<least>(x, n));
    double best = Op::start;
    T piece[kColumns];
    for (int64_t i = 0; i < n; i += kColumns) {
      const int64_t count = std::min(kColumns, n - i);
      for (int64_t k = 0; k < count; ++k) piece[k] = x[(i + k) * stride];
      best = Op::join(best, static_cast<double>(extreme<least>(piece, count)));
    }
    return best;
  }
}

// x seen as kept dimensions and reduced dimensions, neighbours merged.
struct Plan {
  Shape kept, kept_strides, reduced, reduced_strides;
  int64_t outputs = 1, count = 1;

  Plan(const Tensor& x, unsigned mask) {
    for (int d = 0; d < x.rank(); ++d) {
      const int64_t size = x.shape()[d], stride = x.strides()[d];
      const bool is_reduced = (mask >> d & 1u) != 0;
      (is_reduced ? count : outputs) *= size;
      if (size != 1)
        append(is_reduced ? reduced : kept, is_reduced ? reduced_strides : kept_strides, size, stride);
    }
    if (kept.empty()) append(kept, kept_strides, 1, 0);
    if (reduced.empty()) append(reduced, reduced_strides, 1, 0);
  }

  static void append(Shape& sizes, Shape& strides, int64_t size, int64_t stride) {
    const int last = sizes.rank() - 1;
    if (last >= 0 && strides[last] == stride * size) {
      sizes[last] *= size;
      strides[last] = stride;
    } else {
      sizes.push_back(size);
      strides.push_back(stride);
    }
  }
};

// The element offset of flat index `i` over the first `dims` of `sizes`.
int64_t offset_of(int64_t i, const Shape& sizes, const Shape& strides, int dims) {
  int64_t offset = 0;
  for (int d = dims - 1; d >= 0; --d) {
    offset += i % sizes[d] * strides[d];
    i /= sizes[d];
  }
  return offset;
}

// One output from the reduced elements [begin, end) in flat order.
template <class Op, class T>
double reduce_range(const T* x, const Plan& plan, int64_t begin, int64_t end) {
  const int inner = plan.reduced.rank() - 1;
  const int64_t length = plan.reduced[inner], stride = plan.reduced_strides[inner];
  const auto runs = [&](int64_t at, int64_t last) {
    double total = Op::start;
    while (at < last) {
      const int64_t k = at % length, n = std::min(length - k, last - at);
      const int64_t offset = offset_of(at / length, plan.reduced, plan.reduced_strides, inner);
      total = Op::join(total, reduce_run<Op>(x + offset + k * stride, n, stride));
      at += n;
    }
    return total;
  };
  if constexpr (std::is_same_v<Op, Sum>) return pairwise(begin, end, 16 * length, runs);
  return runs(begin, end);
}

template <class Op, class T>
void reduce_rows(T* out, const T* x, const Plan& plan, double divisor) {
  const int64_t tiles = (plan.count + kTile - 1) / kTile;
  const auto source = [&](int64_t o) {
    return x + offset_of(o, plan.kept, plan.kept_strides, plan.kept.rank());
  };
  if (tiles == 1) {
    parallel_each(plan.outputs, kTile / plan.count, [&](int64_t o) {
      out[o] = static_cast<T>(reduce_range<Op>(source(o), plan, 0, plan.count) / divisor);
    });
    return;
  }
  std::vector<double> partial(static_cast<size_t>(plan.outputs * tiles));
  parallel_each(plan.outputs * tiles, 1, [&](int64_t i) {
    const int64_t first = i % tiles * kTile;
    partial[static_cast<size_t>(i)] =
        reduce_range<Op>(source(i / tiles), plan, first, std::min(first + kTile, plan.count));
  });
  for (int64_t o = 0; o < plan.outputs; ++o)
    out[o] = static_cast<T>(reduce_run<Op>(partial.data() + o * tiles, tiles, 1) / divisor);
}

// The kept dimension is the contiguous one (a bias gradient): whole rows are added to a row of sums.
template <class Op, class T>
void reduce_columns(T* out, const T* x, const Plan& plan, double divisor) {
  const int inner = plan.kept.rank() - 1;
  const int64_t columns = plan.kept[inner], outer = plan.outputs / columns;
  const int64_t width = std::min(columns, kColumns), blocks = (columns + width - 1) / width;
  // f64 has no digits to spare for more rows.
  const bool exact = std::is_same_v<Op, Sum> && std::is_same_v<T, double>;
  const int64_t rows = exact ? 16 : std::max<int64_t>(16, kTile / width);
  const int64_t tiles = (plan.count + rows - 1) / rows;
  std::vector<double> partial(tiles > 1 ? static_cast<size_t>(tiles * plan.outputs) : 0);
  parallel_for(
      outer * blocks * tiles, kTile / (width * std::min(rows, plan.count)), [&](int64_t begin, int64_t end) {
        double sums[kColumns];
        for (int64_t i = begin; i < end; ++i) {
          const int64_t tile = i % tiles, block = i / tiles % blocks, o = i / tiles / blocks;
          const int64_t first = block * width, n = std::min(width, columns - first);
          const T* source = x + offset_of(o, plan.kept, plan.kept_strides, inner) + first;
          std::fill(sums, sums + n, Op::start);
          for (int64_t r = tile * rows; r < std::min(plan.count, (tile + 1) * rows); ++r) {
            const T* row = source + offset_of(r, plan.reduced, plan.reduced_strides, plan.reduced.rank());
            for (int64_t k = 0; k < n; ++k) sums[k] = Op::join(sums[k], static_cast<double>(row[k]));
          }
          const int64_t at = o * columns + first;
          for (int64_t k = 0; k < n; ++k) {
            if (tiles > 1)
              partial[static_cast<size_t>(tile * plan.outputs + at + k)] = sums[k];
            else
              out[at + k] = static_cast<T>(sums[k] / divisor);
          }
        }
      });
  if (tiles == 1) return;
  parallel_each(plan.outputs, kTile / tiles, [&](int64_t o) {
    out[o] = static_cast<T>(reduce_run<Op>(partial.data() + o, tiles, plan.outputs) / divisor);
  });
}

template <class Op, class T>
void reduce_plan(T* out, const T* x, const Plan& plan, double divisor) {
  const bool by_columns =
      plan.kept_strides.back() == 1 && plan.kept.back() >= 8 && plan.reduced_strides.back() != 1;
  if (by_columns)
    reduce_columns<Op>(out, x, plan, divisor);
  else
    reduce_rows<Op>(out, x, plan, divisor);
}

// x with its last dimension contiguous, for kernels that work on rows.
template <class T>
struct Rows {
  Tensor x;
  int64_t length, count;
  const T* operator[](int64_t i) const { return x.device_data<T>() + i * length; }

  explicit Rows(const Tensor& tensor) : x(tensor.contiguous()) {
    length = x.shape().back();
    count = length == 0 ? 0 : x.numel() / length;
  }
  // f(i, row i), in parallel.
  template <class F>
  void for_each(F f) const {
    parallel_each(count, kTile / std::max<int64_t>(1, length), [&](int64_t i) { f(i, (*this)[i]); });
  }
};

// In what order top-k and argmax see values: NaN is the greatest.
template <class T>
bool greater(T a, T b) {
  return a > b || (a != a && b == b);
}

constexpr int64_t kBlock = 64;  // elements that are looked at together

template <class T>
bool any_equal(const T* x, T value) {
  int any = 0;
  for (int64_t i = 0; i < kBlock; ++i) any |= static_cast<int>(x[i] == value);
  return any != 0;
}

}  // namespace

void reduce(Tensor& out, const Tensor& x, const std::vector<int>& dims, ReduceOp op) {
  unsigned mask = 0;
  for (const int dim : dims) mask |= 1u << normalize_dim(dim, x.rank(), "reduce");
  const Plan plan(x, mask);
  if (plan.outputs == 0) return;
  if (plan.count == 0) {
    cpu::fill(out, op == ReduceOp::sum ? 0.0 : std::numeric_limits<double>::quiet_NaN());
    return;
  }
  dispatch_float(x.dtype(), "reduce", [&]<class T>() {
    const T* source = x.device_data<T>();
    T* target = out.mutable_device_data<T>();
    switch (op) {
      case ReduceOp::sum:
        return reduce_plan<Sum>(target, source, plan, 1.0);
      case ReduceOp::mean:
        return reduce_plan<Sum>(target, source, plan, static_cast<double>(plan.count));
      case ReduceOp::max:
        return reduce_plan<Max>(target, source, plan, 1.0);
      case ReduceOp::min:
        return reduce_plan<Min>(target, source, plan, 1.0);
    }
  });
}

void argmax(Tensor& out, const Tensor& x) {
  dispatch_float(x.dtype(), "argmax", [&]<class T>() {
    const Rows<T> rows(x);
    if (out.numel() == 0) return;
    int64_t* indices = out.mutable_device_data<int64_t>();
    rows.for_each([&](int64_t i, const T* row) {
      // First the greatest value, as vector code, then the block with it, then its place.
      const T best = extreme<false>(row, rows.length);
      int64_t at = 0;
      if (best == best)
        while (at + kBlock <= rows.length && !any_equal(row + at, best)) at += kBlock;
      while (!(row[at] == best || (row[at] != row[at] && best != best))) ++at;
      indices[i] = at;
    });
  });
}

void topk(Tensor& values, Tensor& indices, const Tensor& x, int64_t k) {
  constexpr int64_t kInsertion = 32;  // up to here a sorted list of the best so far beats a partial sort
  dispatch_float(x.dtype(), "topk", [&]<class T>() {
    const Rows<T> rows(x);
    if (values.numel() == 0) return;
    T* best = values.mutable_device_data<T>();
    int64_t* where = indices.mutable_device_data<int64_t>();
    rows.for_each([best, where, k, length = rows.length](int64_t i, const T* row) {
      T* v = best + i * k;
      int64_t* at = where + i * k;
      if (k <= kInsertion) {
        int64_t n = 0;
        for (int64_t j = 0; j < length; ++j) {
          // Once the list is full, most blocks hold nothing for it.
          while (n == k && j % kBlock == 0 && j + kBlock <= length && !any_above(row + j, kBlock, v[k - 1]))
            j += kBlock;
          if (j == length) break;
          if (n == k && !greater(row[j], v[k - 1])) continue;
          int64_t place = n < k ? n++ : k - 1;
          for (; place > 0 && greater(row[j], v[place - 1]); --place) {
            v[place] = v[place - 1];
            at[place] = at[place - 1];
          }
          v[place] = row[j];
          at[place] = j;
        }
      } else {
        std::vector<int64_t> order(static_cast<size_t>(length));
        std::iota(order.begin(), order.end(), int64_t{0});
        std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t a, int64_t b) {
          return greater(row[a], row[b]) || (!greater(row[b], row[a]) && a < b);
        });
        std::copy_n(order.begin(), k, at);
        for (int64_t j = 0; j < k; ++j) v[j] = row[at[j]];
      }
    });
  });
}

void cumsum(Tensor& out, const Tensor& x) {
  dispatch_float(x.dtype(), "cumsum", [&]<class T>() {
    const Rows<T> rows(x);
    if (rows.count == 0) return;
    T* target = out.mutable_device_data<T>();
    rows.for_each([&](int64_t i, const T* row) {
      T* to = target + i * rows.length;
      SumOf<T> sum{};
      for (int64_t j = 0; j < rows.length; ++j)
        to[j] = static_cast<T>(static_cast<double>(sum += static_cast<double>(row[j])));
    });
  });
}

void sum_squares(Tensor& out, const std::vector<Tensor>& tensors) {
  struct Piece {
    const Tensor* tensor;
    int64_t first;
  };
  std::vector<Tensor> sources;
  sources.reserve(tensors.size());
  for (const Tensor& tensor : tensors) sources.push_back(tensor.contiguous());
  std::vector<Piece> pieces;
  for (const Tensor& tensor : sources)
    for (int64_t first = 0; first < tensor.numel(); first += kTile) pieces.push_back({&tensor, first});
  std::vector<double> partial(pieces.size());
  parallel_each(static_cast<int64_t>(pieces.size()), 1, [&](int64_t p) {
    const Tensor* tensor = pieces[static_cast<size_t>(p)].tensor;
    const int64_t first = pieces[static_cast<size_t>(p)].first;
    const int64_t n = std::min(kTile, tensor->numel() - first);
    partial[static_cast<size_t>(p)] = dispatch_float(tensor->dtype(), "sum_squares", [&]<class T>() {
      const T* x = tensor->device_data<T>() + first;
      return wide_sum(0, n, [x](int64_t i) {
        const double v = static_cast<double>(x[i]);
        return v * v;
      });
    });
  });
  *out.mutable_device_data<double>() =
      reduce_run<Sum>(partial.data(), static_cast<int64_t>(partial.size()), 1);
}

}  // namespace tensor::cpu
