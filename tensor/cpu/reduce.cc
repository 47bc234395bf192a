#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/cpu/strided.h"
#include "tensor/cpu/sums.h"
#include "tensor/cpu/vector_math.h"
#include "tensor/kernels.h"

// Sums are made in double, in tiles whose bounds depend on the shape alone; the tiles' results are added in
// their order. So a sum is exact to a rounding or two for f32, and the same with any number of threads. For
// f64 what is longer than kSumBlock is added pairwise, which gives it a few units in the last place.
namespace tensor::cpu {
namespace {

constexpr int64_t kTile = 16384;  // elements per tile
constexpr int kLanes = 16;        // independent sums of a run, so that the loop becomes vector code
constexpr int64_t kColumns = 512;
constexpr int64_t kRowBlock = 32, kFoldedRows = 16;  // that are added up before their sum is added to another

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
constexpr bool is_pairwise = std::is_same_v<Op, Sum>&& std::is_same_v<T, double>;

// Adds `rows` rows of kLanes numbers to the lanes, which are zero, pairwise.
inline void add_rows(double* lanes, const double* x, int64_t rows) {
  if (rows > kRowBlock) {
    double others[kLanes] = {};
    const int64_t half = rows / 2;
    add_rows(lanes, x, half);
    add_rows(others, x + half * kLanes, rows - half);
    for (int k = 0; k < kLanes; ++k) lanes[k] += others[k];
    return;
  }
  double sums[kLanes] = {};
  for (int64_t r = 0; r < rows; ++r)
    for (int k = 0; k < kLanes; ++k) sums[k] += x[r * kLanes + k];
  std::copy(sums, sums + kLanes, lanes);
}

template <class Op, class T>
double reduce_run(const T* x, int64_t n, int64_t stride) {
  if constexpr (is_pairwise<Op, T>)
    if (n > kSumBlock / 2 && stride != 1) {
      const int64_t half = (n / 2 + kLanes - 1) / kLanes * kLanes;
      const double first = reduce_run<Op>(x, half, stride);
      return first + reduce_run<Op>(x + half * stride, n - half, stride);
    }
  if constexpr (!std::is_same_v<Op, Sum>)
    if (stride == 1) return static_cast<double>(extreme<std::is_same_v<Op, Min>>(x, n));
  double lanes[kLanes];
  std::fill(lanes, lanes + kLanes, Op::start);
  int64_t i = 0;
  if constexpr (is_pairwise<Op, T>) {
    if (stride == 1) {
      add_rows(lanes, x, n / kLanes);
      i = n / kLanes * kLanes;
    }
  } else if (stride == 1) {
    for (; i + kLanes <= n; i += kLanes)
      for (int k = 0; k < kLanes; ++k) lanes[k] = Op::join(lanes[k], static_cast<double>(x[i + k]));
  }
  for (int k = 0; i < n; ++i, k = (k + 1) % kLanes)
    lanes[k] = Op::join(lanes[k], static_cast<double>(x[i * stride]));
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) lanes[k] = Op::join(lanes[k], lanes[k + width]);
  return lanes[0];
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
  if constexpr (is_pairwise<Op, T>)
    if (end - begin > 16 * length) {
      const int64_t middle = begin + (end - begin) / 2;
      const double first = reduce_range<Op>(x, plan, begin, middle);
      return first + reduce_range<Op>(x, plan, middle, end);
    }
  double total = Op::start;
  while (begin < end) {
    const int64_t at = begin % length, n = std::min(length - at, end - begin);
    const int64_t offset = offset_of(begin / length, plan.reduced, plan.reduced_strides, inner);
    total = Op::join(total, reduce_run<Op>(x + offset + at * stride, n, stride));
    begin += n;
  }
  return total;
}

template <class Op, class T>
void reduce_rows(T* out, const T* x, const Plan& plan, double divisor) {
  const int64_t tiles = (plan.count + kTile - 1) / kTile;
  const auto source = [&](int64_t o) {
    return x + offset_of(o, plan.kept, plan.kept_strides, plan.kept.rank());
  };
  if (tiles == 1) {
    parallel_for(plan.outputs, std::max<int64_t>(1, kTile / plan.count), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        out[o] = static_cast<T>(reduce_range<Op>(source(o), plan, 0, plan.count) / divisor);
    });
    return;
  }
  std::vector<double> partial(static_cast<size_t>(plan.outputs * tiles));
  parallel_for(plan.outputs * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % tiles * kTile;
      partial[static_cast<size_t>(i)] =
          reduce_range<Op>(source(i / tiles), plan, first, std::min(first + kTile, plan.count));
    }
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
  const int64_t rows = std::max<int64_t>(16, kTile / width), tiles = (plan.count + rows - 1) / rows;
  std::vector<double> partial(tiles > 1 ? static_cast<size_t>(tiles * plan.outputs) : 0);
  parallel_for(
      outer * blocks * tiles, std::max<int64_t>(1, kTile / (width * std::min(rows, plan.count))),
      [&](int64_t begin, int64_t end) {
        double sums[kColumns], totals[kColumns], lost[kColumns];  // totals: of whole blocks of rows, for f64
        for (int64_t i = begin; i < end; ++i) {
          const int64_t tile = i % tiles, block = i / tiles % blocks, o = i / tiles / blocks;
          const int64_t first = block * width, n = std::min(width, columns - first);
          const T* source = x + offset_of(o, plan.kept, plan.kept_strides, inner) + first;
          std::fill(sums, sums + n, Op::start);
          if constexpr (is_pairwise<Op, T>) {
            std::fill(totals, totals + n, 0.0);
            std::fill(lost, lost + n, 0.0);
          }
          const auto fold = [&] {
            for (int64_t k = 0; k < n; ++k) {
              const TwoSum next(totals[k], sums[k]);
              totals[k] = next.sum;
              lost[k] += next.lost;
              sums[k] = 0;
            }
          };
          for (int64_t r = tile * rows; r < std::min(plan.count, (tile + 1) * rows); ++r) {
            if constexpr (is_pairwise<Op, T>)
              if (r % kFoldedRows == 0) fold();
            const T* row = source + offset_of(r, plan.reduced, plan.reduced_strides, plan.reduced.rank());
            for (int64_t k = 0; k < n; ++k) sums[k] = Op::join(sums[k], static_cast<double>(row[k]));
          }
          if constexpr (is_pairwise<Op, T>) {
            fold();
            for (int64_t k = 0; k < n; ++k) sums[k] = totals[k] + lost[k];
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
  parallel_for(plan.outputs, std::max<int64_t>(1, kTile / tiles), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
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
    parallel_for(rows.count, std::max<int64_t>(1, kTile / rows.length), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = rows[i];
        // First the greatest value, as vector code, then the block with it, then its place.
        const T best = extreme<false>(row, rows.length);
        int64_t at = 0;
        if (best == best)
          while (at + kBlock <= rows.length && !any_equal(row + at, best)) at += kBlock;
        while (!(row[at] == best || (row[at] != row[at] && best != best))) ++at;
        indices[i] = at;
      }
    });
  });
}

void topk(Tensor& values, Tensor& indices, const Tensor& x, int64_t k) {
  dispatch_float(x.dtype(), "topk", [&]<class T>() {
    const Rows<T> rows(x);
    if (values.numel() == 0) return;
    T* best = values.mutable_device_data<T>();
    int64_t* where = indices.mutable_device_data<int64_t>();
    constexpr int64_t kInsertion = 32;  // up to here a sorted list of the best so far beats a partial sort
    parallel_for(rows.count, std::max<int64_t>(1, kTile / rows.length), [&](int64_t begin, int64_t end) {
      std::vector<int64_t> order;
      for (int64_t i = begin; i < end; ++i) {
        const T* row = rows[i];
        T* v = best + i * k;
        int64_t* at = where + i * k;
        if (k <= kInsertion) {
          int64_t n = 0;
          for (int64_t j = 0; j < rows.length; ++j) {
            // Once the list is full, most blocks hold nothing for it.
            while (n == k && k > 0 && j % kBlock == 0 && j + kBlock <= rows.length &&
                   !any_above(row + j, kBlock, v[k - 1]))
              j += kBlock;
            if (j == rows.length) break;
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
          order.resize(static_cast<size_t>(rows.length));
          std::iota(order.begin(), order.end(), int64_t{0});
          std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t a, int64_t b) {
            return greater(row[a], row[b]) || (!greater(row[b], row[a]) && a < b);
          });
          for (int64_t j = 0; j < k; ++j) {
            at[j] = order[static_cast<size_t>(j)];
            v[j] = row[at[j]];
          }
        }
      }
    });
  });
}

void cumsum(Tensor& out, const Tensor& x) {
  dispatch_float(x.dtype(), "cumsum", [&]<class T>() {
    const Rows<T> rows(x);
    if (rows.count == 0) return;
    T* target = out.mutable_device_data<T>();
    parallel_for(rows.count, std::max<int64_t>(1, kTile / rows.length), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = rows[i];
        T* to = target + i * rows.length;
        if constexpr (std::is_same_v<T, float>) {
          double sum = 0;
          for (int64_t j = 0; j < rows.length; ++j)
            to[j] = static_cast<T>(sum += static_cast<double>(row[j]));
        } else {
          RunningSum sum;  // f64's own rounding errors would add up
          for (int64_t j = 0; j < rows.length; ++j) to[j] = static_cast<double>(sum += row[j]);
        }
      }
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
  parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const Tensor* tensor = pieces[static_cast<size_t>(p)].tensor;
      const int64_t first = pieces[static_cast<size_t>(p)].first;
      const int64_t n = std::min(kTile, tensor->numel() - first);
      partial[static_cast<size_t>(p)] = dispatch_float(tensor->dtype(), "sum_squares", [&]<class T>() {
        const T* x = tensor->device_data<T>() + first;
        const auto square = [x](int64_t i) {
          const double v = static_cast<double>(x[i]);
          return v * v;
        };
        return wide_sum(0, n, square);
      });
    }
  });
  *out.mutable_device_data<double>() =
      reduce_run<Sum>(partial.data(), static_cast<int64_t>(partial.size()), 1);
}

}  // namespace tensor::cpu
