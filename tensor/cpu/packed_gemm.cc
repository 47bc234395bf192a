#include "tensor/cpu/packed_gemm.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "tensor/cpu/onednn.h"
#include "tensor/error.h"
#include "tensor/fork.h"
#include "tensor/tensor.h"
#include "tensor/thread_pool.h"
#if defined(IMGCAP_HAVE_ONEDNN)
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
#endif

namespace tensor::cpu {
namespace {

// A block of packed numbers: 16 groups of rows of 64 columns.
constexpr int64_t kColumns = 64;
template <class T>
constexpr int64_t kGroup = std::is_same_v<T, bf16> ? 2 : 1;  // rows whose numbers stand side by side
template <class T>
constexpr int64_t kRows = 16 * kGroup<T>;

int64_t blocks(int64_t size, int64_t block) { return (size + block - 1) / block; }

template <class T>
void pack_block(T* to, int64_t rows, int64_t columns, const T* from, int64_t row, int64_t col) {
  constexpr int64_t group = kGroup<T>;
  if (rows < kRows<T> || columns < kColumns) std::fill_n(to, kRows<T> * kColumns, T(0.0f));
  const auto place = [=](int64_t i, int64_t j) { return (i / group * kColumns + j) * group + i % group; };
  const int64_t whole = rows / group * group;
  if (row == 1) {  // along memory: a transposed weight has its unit stride in k
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < whole; i += group)
        std::memcpy(to + place(i, j), from + i + j * col, group * sizeof(T));
  } else {
    for (int64_t i = 0; i < whole; i += group)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t g = 0; g < group; ++g) to[place(i, j) + g] = from[(i + g) * row + j * col];
  }
  for (int64_t i = whole; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[place(i, j)] = from[i * row + j * col];
}

}  // namespace

template <class T>
int64_t packed_size(int64_t k, int64_t n) {
  return blocks(k, kRows<T>) * kRows<T> * blocks(n, kColumns) * kColumns;
}

template <class T>
void pack(T* packed, int64_t k, int64_t n, MatrixView<const T> b, int64_t depth) {
  const int64_t deep = blocks(std::max(k, depth), kRows<T>);
  parallel_each(blocks(n, kColumns), 65536 / (k * kColumns + 1), [&](int64_t block) {
    const int64_t j = block * kColumns, after = blocks(k, kRows<T>);
    std::fill_n(packed + (block * deep + after) * kRows<T> * kColumns, (deep - after) * kRows<T> * kColumns,
                T(0.0f));
    for (int64_t i = 0; i < k; i += kRows<T>)
      pack_block(packed + (block * deep + i / kRows<T>)*kRows<T> * kColumns, std::min(kRows<T>, k - i),
                 std::min(kColumns, n - j), b.data + i * b.row + j * b.col, b.row, b.col);
  });
}

template <class T>
void lay_out(T* out, int64_t rows, int64_t columns, MatrixView<const T> x, int64_t width) {
  constexpr int64_t kSide = 64 / sizeof(T);  // a line of the cache
  parallel_each(blocks(rows, kSide), 65536 / (kSide * columns + 1), [&](int64_t block) {
    const int64_t first = block * kSide, count = std::min(kSide, rows - first);
    for (int64_t i = first; i < first + count; ++i)
      std::fill_n(out + i * width + columns, width - columns, T(0.0f));
    if (x.col == 1) {
      for (int64_t i = first; i < first + count; ++i)
        std::copy_n(x.data + i * x.row, columns, out + i * width);
      return;
    }
    // Through a square: rows of the source that are a power of two apart throw each other out of the cache.
    T square[kSide][kSide];
    for (int64_t j = 0; j < columns; j += kSide) {
      const int64_t wide = std::min(kSide, columns - j);
      for (int64_t l = 0; l < wide; ++l)
        for (int64_t i = 0; i < count; ++i) square[l][i] = x.data[(first + i) * x.row + (j + l) * x.col];
      for (int64_t i = 0; i < count; ++i)
        for (int64_t l = 0; l < wide; ++l) out[(first + i) * width + j + l] = square[l][i];
    }
  });
}

#if defined(IMGCAP_HAVE_ONEDNN)
namespace {

// What a primitive is made for, with dense rows: of others oneDNN 2.6 makes a plain loop. Making one takes it a
// tenth of a millisecond or more.
struct Key {
  bool bf16;
  int64_t m, n, k;

  auto operator<=>(const Key&) const = default;
};

struct Primitive {
  explicit Primitive(const Key& key)
      : engine(dnnl::engine::kind::cpu, 0),
        a({key.m, key.k}, type(key), dnnl::memory::format_tag::ab),
        b({key.k, key.n}, type(key),
          key.bf16 ? dnnl::memory::format_tag::BA16a64b2a : dnnl::memory::format_tag::BA16a64b),
        c({key.m, key.n}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::ab) {
    dnnl::primitive_attr attributes;
    // A scratchpad of the library's own would be one for all threads.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), attributes, engine);
    scratchpad = description.scratchpad_desc();
    primitive = dnnl::matmul(description);
    implementation = description.impl_info_str();
  }

  // One of the batch-reduce kernels.
  bool fast() const { return implementation.starts_with("brg"); }

  static dnnl::memory::data_type type(const Key& key) {
    return key.bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  }

  void run(const void* from, const void* packed, float* to) const {
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
  std::string implementation;  // "brg:avx512_core_amx_bf16"
};

// The primitives that were made so far. Never destroyed, as products may come while the program ends.
class Primitives {
 public:
  std::shared_ptr<const Primitive> of(const Key& key) {
    const std::lock_guard lock(mutex_);
    // Batches of ever new sizes should not fill the memory.
    if (made_.size() >= 1024) made_.clear();
    std::shared_ptr<const Primitive>& primitive = made_[key];
    if (!primitive) primitive = std::make_shared<const Primitive>(key);
    return primitive;
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const Primitive>> made_;
};

Primitives& primitives() {
  static Primitives& all = *new Primitives;
  return all;
}

constexpr int64_t kTileRows = 128, kTileColumns = 256;

// By powers of two: batches of any size need few primitives.
int64_t rows_of_tile(int64_t rows) {
  return std::min(kTileRows, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(rows))));
}

// Whether oneDNN multiplies so few rows of a depth by a block of columns as it does a whole tile.
template <class T>
bool multiplies_alike(int64_t rows, int64_t k) {
  const auto implementation = [k](int64_t m, int64_t n) {
    return primitives().of({std::is_same_v<T, bf16>, m, n, k})->implementation;
  };
  keep_onednn_on_this_thread();
  try {
    return implementation(rows, kColumns) == implementation(kTileRows, kTileColumns);
  } catch (const dnnl::error&) {
    return false;
  }
}

// The fewest rows, in tiles of whole blocks of columns, that are multiplied as many are: of less oneDNN may think that its
// matrix unit is not worth while (2.6: 512 results), and its other kernels round otherwise. 1 where all are alike;
// where not, no tile is less.
template <class T>
int64_t least_rows(int64_t k) {
  static const bool all_alike = multiplies_alike<T>(1, 64);
  int64_t rows = 1;
  while (!all_alike && rows < kTileRows && !multiplies_alike<T>(rows, k)) rows *= 2;
  return rows;
}

// A tile of sums, rows of `width`, to where it belongs.
template <class C>
void finish_tile(C* to, int64_t row, const float* tile, int64_t width, int64_t rows, int64_t columns,
                 float alpha, float beta) {
  for (int64_t i = 0; i < rows; ++i, to += row, tile += width) {
    if (beta == 0) {
      for (int64_t j = 0; j < columns; ++j) to[j] = C(alpha * tile[j]);
    } else {
      for (int64_t j = 0; j < columns; ++j) to[j] = C(alpha * tile[j] + beta * static_cast<float>(to[j]));
    }
  }
}

// Columns [first, first + columns) of rows [i, end), in tiles of at least `least` rows.
template <class T>
void multiply_columns(const PackedGemm<T>& p, int64_t least, int64_t i, int64_t end, int64_t first,
                      int64_t columns) {
  keep_onednn_on_this_thread();
  const int64_t width = least > 1 ? blocks(columns, kColumns) * kColumns : columns;
  Tensor room = Tensor::empty({kTileRows * width});
  float* tile = room.mutable_data<float>();
  const T* packed = p.packed + first * blocks(p.k, kRows<T>) * kRows<T>;
  std::vector<T> padded;
  while (i < end) {
    const int64_t rows = std::max(rows_of_tile(end - i), least), whole = std::min(rows, end - i);
    const int64_t at = i * p.c_row + first;
    const T* from = p.a + i * p.k;
    if (whole < rows) {
      padded.assign(static_cast<size_t>(rows * p.k), T(0.0f));
      std::copy_n(from, whole * p.k, padded.data());
      from = padded.data();
    }
    try {
      primitives().of({std::is_same_v<T, bf16>, rows, width, p.k})->run(from, packed, tile);
    } catch (const dnnl::error& e) {
      fail(ErrorKind::internal, "a product of {} x {} x {}: oneDNN: {}", rows, p.k, width, e.what());
    }
    if (p.c_type == DType::f32)
      finish_tile(static_cast<float*>(p.c) + at, p.c_row, tile, width, whole, columns, p.alpha, p.beta);
    else
      finish_tile(static_cast<bf16*>(p.c) + at, p.c_row, tile, width, whole, columns, p.alpha, p.beta);
    i += whole;
  }
}

}  // namespace

template <class T>
bool has_packed_gemm() {
  const tensor::internal::NoFork while_it_looks;
  static const bool has = [] {
    const OneDnnProduct product;
    if (!product.allowed()) return false;
    keep_onednn_on_this_thread();
    try {
      return primitives().of({std::is_same_v<T, bf16>, kTileRows, kTileColumns, 64})->fast();
    } catch (const dnnl::error&) {  // it knows no way for this type
      return false;
    }
  }();
  return has;
}
#else
template <class T>
bool has_packed_gemm() {
  return false;
}
#endif

namespace {

// Without oneDNN: at the end of a program that is past the end of oneDNN.
template <class T>
void multiply_plainly(const PackedGemm<T>& p) {
  const int64_t deep = blocks(p.k, kRows<T>) * kRows<T>;
  parallel_each(p.m, 1, [&](int64_t i) {
    for (int64_t j = 0; j < p.n; ++j) {
      const T* column = p.packed + j / kColumns * deep * kColumns + j % kColumns * kGroup<T>;
      float sum = 0;
      for (int64_t k = 0; k < p.k; ++k)
        sum += static_cast<float>(p.a[i * p.k + k]) *
               static_cast<float>(column[k / kGroup<T> * kGroup<T> * kColumns + k % kGroup<T>]);
      const auto set = [&](auto& c) {
        const float before = p.beta == 0 ? 0 : p.beta * static_cast<float>(c);
        c = std::remove_reference_t<decltype(c)>(p.alpha * sum + before);
      };
      p.c_type == DType::f32 ? set(static_cast<float*>(p.c)[i * p.c_row + j])
                             : set(static_cast<bf16*>(p.c)[i * p.c_row + j]);
    }
  });
}

}  // namespace

template <class T>
void multiply_packed(const PackedGemm<T>& p) {
#if defined(IMGCAP_HAVE_ONEDNN)
  if (const OneDnnProduct product; product.allowed() && has_packed_gemm<T>()) {
    // Tasks by the sizes alone, about as many as there are threads or more.
    int64_t task_rows = 512, task_columns = kTileColumns;
    const auto tasks = [&] { return blocks(p.m, task_rows) * blocks(p.n, task_columns); };
    while (tasks() < 16 && task_rows > kTileRows) task_rows /= 2;
    while (tasks() < 16 && task_columns > kColumns) task_columns /= 2;
    const int64_t down = blocks(p.m, task_rows), across = blocks(p.n, task_columns);
    const int64_t work = std::min(p.m, task_rows) * task_columns * p.k, least = least_rows<T>(p.k);
    return parallel_each(down * across, (int64_t{1} << 18) / (work + 1), [&](int64_t t) {
      const int64_t i = t % down * task_rows, j = t / down * task_columns;
      multiply_columns(p, least, i, std::min(i + task_rows, p.m), j, std::min(task_columns, p.n - j));
    });
  }
#endif
  multiply_plainly(p);
}

void gemm_bf16(int64_t m, int64_t n, int64_t k, float alpha, MatrixView<const bf16> a,
               MatrixView<const bf16> b, float beta, void* c, DType c_type, int64_t c_row) {
  const bool dense = a.col == 1 && a.row == k;
  const int64_t depth = dense ? k : padded_depth(k);
  Tensor packed = Tensor::empty({packed_size<bf16>(depth, n)}, DType::bf16), rows;
  pack(packed.mutable_data<bf16>(), k, n, b, depth);
  if (!dense) {
    rows = Tensor::empty({m, depth}, DType::bf16);
    lay_out(rows.mutable_data<bf16>(), m, k, a, depth);
  }
  multiply_packed<bf16>(
      {m, n, depth, dense ? a.data : rows.data<bf16>(), packed.data<bf16>(), c, c_type, c_row, alpha, beta});
}

template bool has_packed_gemm<float>();
template bool has_packed_gemm<bf16>();
template int64_t packed_size<float>(int64_t, int64_t);
template int64_t packed_size<bf16>(int64_t, int64_t);
template void pack(float*, int64_t, int64_t, MatrixView<const float>, int64_t);
template void pack(bf16*, int64_t, int64_t, MatrixView<const bf16>, int64_t);
template void lay_out(float*, int64_t, int64_t, MatrixView<const float>, int64_t);
template void lay_out(bf16*, int64_t, int64_t, MatrixView<const bf16>, int64_t);
template void multiply_packed(const PackedGemm<float>&);
template void multiply_packed(const PackedGemm<bf16>&);

}  // namespace tensor::cpu
