#include "tensor/cpu/bf16_gemm.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#include "tensor/cpu/onednn.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"
#if defined(IMGCAP_HAVE_ONEDNN)
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <tuple>
#endif

namespace tensor::cpu {
namespace {

// A block of packed numbers: 16 pairs of rows of 64 columns.
constexpr int64_t kColumns = 64, kRows = 32;

int64_t blocks(int64_t size, int64_t block) { return (size + block - 1) / block; }

// Rows [first, first + kRows) of a block of columns. Pairs past k and columns past n are zeros.
void pack_block(bf16* to, int64_t rows, int64_t columns, const bf16* from, int64_t row, int64_t col) {
  if (rows < kRows || columns < kColumns) std::fill_n(to, kRows * kColumns, bf16(0.0f));
  if (row == 1) {  // along memory: a transposed weight has its unit stride in k
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < rows; ++i) to[(i / 2 * kColumns + j) * 2 + i % 2] = from[i + j * col];
    return;
  }
  for (int64_t i = 0; i + 1 < rows; i += 2)
    for (int64_t j = 0; j < columns; ++j) {
      to[(i / 2 * kColumns + j) * 2] = from[i * row + j * col];
      to[(i / 2 * kColumns + j) * 2 + 1] = from[(i + 1) * row + j * col];
    }
  if (rows % 2 == 1)
    for (int64_t j = 0; j < columns; ++j)
      to[(rows / 2 * kColumns + j) * 2] = from[(rows - 1) * row + j * col];
}

// Without oneDNN: at the end of a program that is past the end of oneDNN.
void multiply_plainly(const Bf16Product& p) {
  const int64_t deep = blocks(p.k, kRows) * kRows;
  parallel_each(p.m, 1, [&](int64_t i) {
    for (int64_t j = 0; j < p.n; ++j) {
      const bf16* column = p.packed + (j / kColumns * deep * kColumns) + j % kColumns * 2;
      const auto c = [&](auto* data) {
        float sum = p.accumulate ? static_cast<float>(data[i * p.c_row + j]) : 0;
        for (int64_t k = 0; k < p.k; ++k)
          sum +=
              static_cast<float>(p.a[i * p.k + k]) * static_cast<float>(column[k / 2 * 2 * kColumns + k % 2]);
        data[i * p.c_row + j] = std::remove_reference_t<decltype(*data)>(sum);
      };
      p.c_type == DType::f32 ? c(static_cast<float*>(p.c)) : c(static_cast<bf16*>(p.c));
    }
  });
}

}  // namespace

int64_t bf16_packed_size(int64_t k, int64_t n) {
  return blocks(k, kRows) * kRows * blocks(n, kColumns) * kColumns;
}

void pack_bf16(bf16* packed, int64_t k, int64_t n, MatrixView<const bf16> b) {
  const int64_t deep = blocks(k, kRows);
  parallel_each(blocks(n, kColumns), 65536 / (k * kColumns + 1), [&](int64_t block) {
    const int64_t j = block * kColumns;
    for (int64_t i = 0; i < k; i += kRows)
      pack_block(packed + (block * deep + i / kRows) * kRows * kColumns, std::min(kRows, k - i),
                 std::min(kColumns, n - j), b.data + i * b.row + j * b.col, b.row, b.col);
  });
}

void lay_out_bf16(bf16* out, int64_t rows, int64_t columns, MatrixView<const bf16> x) {
  constexpr int64_t kSide = 32;  // of squares that stay in the first-level cache, whichever way they are read
  parallel_each(blocks(rows, kSide), 65536 / (kSide * columns + 1), [&](int64_t block) {
    const int64_t first = block * kSide, last = std::min(first + kSide, rows);
    if (x.col == 1) {
      for (int64_t i = first; i < last; ++i) std::copy_n(x.data + i * x.row, columns, out + i * columns);
      return;
    }
    for (int64_t j = 0; j < columns; j += kSide)
      for (int64_t i = first; i < last; ++i)
        for (int64_t l = j; l < std::min(j + kSide, columns); ++l)
          out[i * columns + l] = x.data[i * x.row + l * x.col];
  });
}

#if defined(IMGCAP_HAVE_ONEDNN)
namespace {

// What a primitive is made for, with dense rows: of others oneDNN 2.6 makes a plain loop. Making one takes it a
// tenth of a millisecond or more.
struct Key {
  int64_t m, n, k;

  auto operator<=>(const Key&) const = default;
};

struct Primitive {
  explicit Primitive(const Key& key)
      : engine(dnnl::engine::kind::cpu, 0),
        a({key.m, key.k}, dnnl::memory::data_type::bf16, dnnl::memory::format_tag::ab),
        b({key.k, key.n}, dnnl::memory::data_type::bf16, dnnl::memory::format_tag::BA16a64b2a),
        c({key.m, key.n}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::ab) {
    dnnl::primitive_attr attributes;
    // A scratchpad of the library's own would be one for all threads.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), attributes, engine);
    scratchpad = description.scratchpad_desc();
    primitive = dnnl::matmul(description);
  }

  void run(const bf16* from, const bf16* packed, float* to) const {
    dnnl::stream stream(engine);
    Tensor room = Tensor::empty({static_cast<int64_t>(scratchpad.get_size())}, DType::u8);
    const auto memory = [&](const dnnl::memory::desc& desc, const void* data) {
      return dnnl::memory(desc, engine, const_cast<void*>(data));
    };
    primitive.execute(stream, {{DNNL_ARG_SRC, memory(a, from)},
                               {DNNL_ARG_WEIGHTS, memory(b, packed)},
                               {DNNL_ARG_DST, memory(c, to)},
                               {DNNL_ARG_SCRATCHPAD, memory(scratchpad, room.mutable_raw())}});
  }

  dnnl::engine engine;
  dnnl::memory::desc a, b, c, scratchpad;
  dnnl::matmul primitive;
};

// The primitives that were made so far. Never destroyed, as products may come while the program ends.
class Primitives {
 public:
  std::shared_ptr<const Primitive> of(const Key& key) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = made_.find(key); found != made_.end()) return found->second;
    }
    const std::unique_lock lock(mutex_);
    // Batches of ever new sizes should not fill the memory.
    if (made_.size() >= 4096) made_.clear();
    std::shared_ptr<const Primitive>& primitive = made_[key];
    if (!primitive) primitive = std::make_shared<const Primitive>(key);
    return primitive;
  }

 private:
  std::shared_mutex mutex_;
  std::map<Key, std::shared_ptr<const Primitive>> made_;
};

Primitives& primitives() {
  static Primitives& all = *new Primitives;
  return all;
}

constexpr int64_t kTileRows = 64, kTileColumns = 128;

// By powers of two from 64 on: batches of any size need few primitives.
int64_t rows_of_tile(int64_t rows) {
  return std::min(kTileRows, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(rows))));
}

// A tile of sums to where it belongs.
template <class C>
void finish_tile(C* to, int64_t row, const float* tile, int64_t rows, int64_t columns, bool accumulate) {
  for (int64_t i = 0; i < rows; ++i, to += row, tile += columns) {
    if (accumulate) {
      for (int64_t j = 0; j < columns; ++j) to[j] = C(static_cast<float>(to[j]) + tile[j]);
    } else {
      for (int64_t j = 0; j < columns; ++j) to[j] = C(tile[j]);
    }
  }
}

// Columns [first, first + columns) of rows [i, end).
void multiply_columns(const Bf16Product& p, int64_t i, int64_t end, int64_t first, int64_t columns) {
  keep_onednn_on_this_thread();
  Tensor room = Tensor::empty({kTileRows * columns});
  float* tile = room.mutable_data<float>();
  const bf16* packed = p.packed + first * blocks(p.k, kRows) * kRows;
  while (i < end) {
    const int64_t rows = rows_of_tile(end - i), at = i * p.c_row + first;
    primitives().of({rows, columns, p.k})->run(p.a + i * p.k, packed, tile);
    if (p.c_type == DType::f32)
      finish_tile(static_cast<float*>(p.c) + at, p.c_row, tile, rows, columns, p.accumulate);
    else
      finish_tile(static_cast<bf16*>(p.c) + at, p.c_row, tile, rows, columns, p.accumulate);
    i += rows;
  }
}

}  // namespace
#endif

void multiply_packed_bf16(const Bf16Product& p) {
#if defined(IMGCAP_HAVE_ONEDNN)
  if (const OneDnnProduct product; product.allowed() && has_bf16_products()) {
    // Tasks by the sizes alone.
    constexpr int64_t kTaskRows = 256;
    const int64_t down = blocks(p.m, kTaskRows), across = blocks(p.n, kTileColumns);
    const int64_t work = std::min(p.m, kTaskRows) * kTileColumns * p.k;
    return parallel_each(down * across, (int64_t{1} << 18) / (work + 1), [&](int64_t t) {
      const int64_t i = t % down * kTaskRows, j = t / down * kTileColumns;
      multiply_columns(p, i, std::min(i + kTaskRows, p.m), j, std::min(kTileColumns, p.n - j));
    });
  }
#endif
  multiply_plainly(p);
}

}  // namespace tensor::cpu
