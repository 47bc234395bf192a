#include "tensor/cpu/gemm.h"

#include <Eigen/Core>
#include <algorithm>
#include <optional>
#include <type_traits>

#include "tensor/cpu/onednn.h"
#include "tensor/cpu/packed_gemm.h"
#include "tensor/cpu/panel.h"
#include "tensor/cpu/panel_gemm.h"
#include "tensor/error.h"
#include "tensor/tensor.h"
#include "tensor/thread_pool.h"
#if defined(IMGCAP_HAVE_ONEDNN)
#include <dnnl.h>
#endif

namespace tensor::cpu {
namespace {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ColMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;

template <class T>
auto map_rows(MatrixView<const T> x, int64_t rows, int64_t cols) {
  return Eigen::Map<const RowMajor<T>, 0, Eigen::OuterStride<>>(x.data, rows, cols,
                                                                Eigen::OuterStride<>(x.row));
}

template <class T>
auto map_cols(MatrixView<const T> x, int64_t rows, int64_t cols) {
  return Eigen::Map<const ColMajor<T>, 0, Eigen::OuterStride<>>(x.data, rows, cols,
                                                                Eigen::OuterStride<>(x.col));
}

template <class T>
void scale_tile(int64_t m, int64_t n, T beta, MatrixView<T> c) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      c.data[i * c.row + j] = beta == T(0) ? T(0) : beta * c.data[i * c.row + j];
}

template <class T>
void tile_eigen(int64_t m, int64_t n, int64_t k, T alpha, MatrixView<const T> a, MatrixView<const T> b,
                T beta, MatrixView<T> c) {
  Eigen::Map<RowMajor<T>, 0, Eigen::OuterStride<>> out(c.data, m, n, Eigen::OuterStride<>(c.row));
  if (beta != T(1)) scale_tile(m, n, beta, c);
  const auto multiply = [&](const auto& left) {
    if (b.col == 1)
      out.noalias() += alpha * left * map_rows(b, k, n);
    else
      out.noalias() += alpha * left * map_cols(b, k, n);
  };
  if (a.col == 1)
    multiply(map_rows(a, m, k));
  else
    multiply(map_cols(a, m, k));
}

#if defined(IMGCAP_HAVE_ONEDNN)
// Products for which Eigen is as fast, and needs no signals held.
bool is_tiny(int64_t m, int64_t n, int64_t k) { return m * n * k <= 1 << 16; }
#endif

template <class T>
void tile([[maybe_unused]] bool onednn, int64_t m, int64_t n, int64_t k, T alpha, MatrixView<const T> a,
          MatrixView<const T> b, T beta, MatrixView<T> c) {
#if defined(IMGCAP_HAVE_ONEDNN)
  if constexpr (std::is_same_v<T, float>) {
    if (!onednn || is_tiny(m, n, k)) return tile_eigen(m, n, k, alpha, a, b, beta, c);
    keep_onednn_on_this_thread();
    const bool transpose_a = a.col != 1, transpose_b = b.col != 1;
    const int64_t lda = std::max<int64_t>(transpose_a ? a.col : a.row, transpose_a ? m : k);
    const int64_t ldb = std::max<int64_t>(transpose_b ? b.col : b.row, transpose_b ? k : n);
    if (dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a.data, lda, b.data, ldb,
                   beta, c.data, std::max(c.row, n)) == dnnl_success)
      return;
  }
#endif
  tile_eigen(m, n, k, alpha, a, b, beta, c);
}

// A dense copy of a matrix with no unit stride.
template <class T>
Tensor packed(MatrixView<const T>& x, int64_t rows, int64_t cols) {
  Tensor copy = Tensor::empty({rows, cols}, dtype_of<T>::value);
  T* out = copy.mutable_device_data<T>();
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) out[i * cols + j] = x.data[i * x.row + j * x.col];
  x = {out, cols, 1};
  return copy;
}

// A row or column stride of a matrix with one row or column is meaningless; libraries still check it. Strides
// of 0 (an expanded tensor) have no leading dimension either.
template <class T>
Tensor normalize(MatrixView<const T>& x, int64_t rows, int64_t cols) {
  if (rows == 1 && (x.col == 1 || cols == 1)) {
    x = {x.data, cols, 1};
  } else if (cols == 1 && x.row != 0) {
    x = {x.data, x.row, 1};
  } else if (rows == 1 && x.col != 0) {
    x = {x.data, 1, x.col};
  }
  const bool rows_dense = x.col == 1 && x.row >= cols, cols_dense = x.row == 1 && x.col >= rows;
  return rows_dense || cols_dense ? Tensor() : packed(x, rows, cols);
}

int64_t tile_count(int64_t size, int64_t tile) { return (size + tile - 1) / tile; }

// Products that are large in every direction are worth laying out.
bool is_large(int64_t m, int64_t n, int64_t k) {
  return m >= 64 && n >= 64 && k >= 64 && m * n * k >= 1 << 22;
}

void multiply_in_panels(int64_t m, int64_t n, int64_t k, MatrixView<const float> a, MatrixView<const float> b,
                        float beta, MatrixView<float> c) {
  // A piece of k at a time, to bound the memory; sums go to c after fewer rows anyway.
  constexpr int64_t kPiece = 1024;
  Tensor packed = Tensor::empty({panels_size(std::min(kPiece, k), n)});
  for (int64_t first = 0; first < k; first += kPiece) {
    const int64_t piece = std::min(kPiece, k - first);
    pack_panels(packed.mutable_data<float>(), piece, n, {b.data + first * b.row, b.row, b.col});
    multiply_panels({m,
                     n,
                     piece,
                     {a.data + first * a.col, a.row, a.col},
                     packed.data<float>(),
                     c.data,
                     c.row,
                     first > 0 || beta == 1});
  }
}

#if defined(IMGCAP_HAVE_ONEDNN)
void multiply_laid_out(int64_t m, int64_t n, int64_t k, float alpha, MatrixView<const float> a,
                       MatrixView<const float> b, float beta, MatrixView<float> c) {
  // A piece of k at a time, to bound the memory.
  constexpr int64_t kPiece = 2560;
  for (int64_t first = 0; first < k; first += kPiece) {
    const int64_t piece = std::min(kPiece, k - first);
    const MatrixView<const float> part{a.data + first * a.col, a.row, a.col};
    const bool dense = part.col == 1 && part.row == piece;
    const int64_t depth = dense ? piece : padded_depth(piece);
    Tensor packed = Tensor::empty({packed_size<float>(depth, n)}), rows;
    pack<float>(packed.mutable_data<float>(), piece, n, {b.data + first * b.row, b.row, b.col}, depth);
    if (!dense) {
      rows = Tensor::empty({m, depth});
      lay_out(rows.mutable_data<float>(), m, piece, part, depth);
    }
    multiply_packed<float>({m, n, depth, dense ? part.data : rows.data<float>(), packed.data<float>(), c.data,
                            DType::f32, c.row, alpha, first == 0 ? beta : 1});
  }
}
#endif

}  // namespace

template <class T>
void gemm(int64_t m, int64_t n, int64_t k, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c) {
  if (m == 0 || n == 0) return;
  const Tensor kept_a = normalize(a, m, k), kept_b = normalize(b, k, n);
  // Tiles depend on the sizes alone. Each packs its operands anew, which costs least in large ones; 32 are work
  // for as many threads, and small products are cut finer to have eight, tiny ones not at all.
  constexpr int64_t kSerialWork = 1 << 18;
  int64_t tile_m = m, tile_n = n;
  if (m * n * std::max<int64_t>(k, 1) > kSerialWork) {
    tile_m = std::min<int64_t>(m, 512);
    tile_n = std::min<int64_t>(n, 512);
    const auto tiles = [&] { return tile_count(m, tile_m) * tile_count(n, tile_n); };
    const auto wider = [&]() -> int64_t& { return tile_n >= tile_m ? tile_n : tile_m; };
    while (tiles() < 32 && wider() > 256) wider() = 256;
    while (tiles() < 8 && wider() > 32) wider() = (wider() / 2 + 15) / 16 * 16;
  }
  const int64_t tiles_m = tile_count(m, tile_m), tiles_n = tile_count(n, tile_n);
  bool onednn = false;
#if defined(IMGCAP_HAVE_ONEDNN)
  std::optional<OneDnnProduct> product;
  if constexpr (std::is_same_v<T, float>) {
    if (!is_tiny(m, n, k)) onednn = product.emplace().allowed();
    if (onednn && is_large(m, n, k) && has_packed_gemm<float>())
      return multiply_laid_out(m, n, k, alpha, a, b, beta, c);
  }
#endif
  // A portable build's registers are narrow, and oneDNN finds the processor's own.
  if constexpr (std::is_same_v<T, float>)
    if ((!onednn || dense::kLanes > 4) && is_large(m, n, k) && alpha == 1 && (beta == 0 || beta == 1))
      return multiply_in_panels(m, n, k, a, b, beta, c);
  parallel_each(tiles_m * tiles_n, 1, [&](int64_t t) {
    const int64_t i = t % tiles_m * tile_m, j = t / tiles_m * tile_n;
    const int64_t rows = std::min(tile_m, m - i), cols = std::min(tile_n, n - j);
    const MatrixView<T> out{c.data + i * c.row + j, c.row, 1};
    if (k == 0)
      scale_tile(rows, cols, beta, out);
    else
      tile(onednn, rows, cols, k, alpha, {a.data + i * a.row, a.row, a.col},
           {b.data + j * b.col, b.row, b.col}, beta, out);
  });
}

template void gemm(int64_t, int64_t, int64_t, float, MatrixView<const float>, MatrixView<const float>, float,
                   MatrixView<float>);
template void gemm(int64_t, int64_t, int64_t, double, MatrixView<const double>, MatrixView<const double>,
                   double, MatrixView<double>);

}  // namespace tensor::cpu
