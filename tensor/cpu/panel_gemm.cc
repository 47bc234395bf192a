#include "tensor/cpu/panel_gemm.h"

#include <algorithm>
#include <vector>

#include "tensor/cpu/dense_tile.h"
#include "tensor/tensor.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

using namespace dense;

// Rows of `a` that are laid out at a time, so that a block of them stays in the second-level cache.
constexpr int64_t kRows = 256;
// Below these many panels laying them out costs more than it saves.
constexpr int64_t kFewPanels = 8;

Epilogue epilogue(const PanelGemm& p, int64_t panel) {
  static constexpr float kZeros[kPanel] = {};
  return {kZeros, Activation::none, std::min<int64_t>(kPanel, p.n - panel * kPanel)};
}

// multiply(panel, first, length, weights) for each panel and block of k. Small products stay on one thread.
template <class Multiply>
void for_each_panel(const PanelGemm& p, const Multiply& multiply) {
  const int64_t panels = panels_of(p.n);
  parallel_for(panels, (int64_t{1} << 19) / (p.m * p.k * kPanel + 1), [&](int64_t begin, int64_t end) {
    for (int64_t first = 0; first < p.k; first += kSumBlock) {
      const int64_t length = std::min(kSumBlock, p.k - first);
      for (int64_t panel = begin; panel < end; ++panel)
        multiply(panel, first, length, p.packed + (first * panels + panel * length) * kPanel);
    }
  });
}

void multiply_in_place(const PanelGemm& p) {
  std::vector<const float*> from(static_cast<size_t>(p.m));
  std::vector<float*> to(static_cast<size_t>(p.m));
  for (int64_t r = 0; r < p.m; ++r)
    from[static_cast<size_t>(r)] = p.a.data + r * p.a.row, to[static_cast<size_t>(r)] = p.c + r * p.c_row;
  for_each_panel(p, [&](int64_t panel, int64_t first, int64_t length, const float* weights) {
    dense_rows(p.m, from.data(), {{first}, length}, weights, p.accumulate || first > 0 ? to.data() : nullptr,
               to.data(), panel * kPanel, epilogue(p, panel));
  });
}

// Each tile of rows of `a` as (k, rows), one after the other; reads go along memory.
void lay_out_tiles(const PanelGemm& p, const Tiles& tiles, float* out) {
  if (p.a.row != 1)
    return parallel_each(tiles.count, 32768 / (p.k * kTile + 1), [&](int64_t tile) {
      const float* from = p.a.data + tiles.first(tile) * p.a.row;
      float* to = out + tiles.first(tile) * p.k;
      for (int64_t i = 0; i < p.k; ++i)
        for (int64_t r = 0; r < tiles.rows(tile); ++r) *to++ = from[r * p.a.row + i * p.a.col];
    });
  constexpr int64_t kColumns = 64;
  parallel_each((p.k + kColumns - 1) / kColumns, 1, [&](int64_t part) {
    for (int64_t i = part * kColumns; i < std::min(p.k, (part + 1) * kColumns); ++i)
      for (int64_t tile = 0; tile < tiles.count; ++tile)
        std::copy_n(p.a.data + tiles.first(tile) + i * p.a.col, tiles.rows(tile),
                    out + tiles.first(tile) * p.k + i * tiles.rows(tile));
  });
}

// `in`: room for m x k numbers.
void multiply_laid_out(const PanelGemm& p, float* in) {
  const Tiles tiles(p.m);
  lay_out_tiles(p, tiles, in);
  for_each_panel(p, [&](int64_t panel, int64_t first, int64_t length, const float* weights) {
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      const int64_t rows = tiles.rows(tile);
      float* to[kTile];
      for (int64_t r = 0; r < rows; ++r) to[r] = p.c + (tiles.first(tile) + r) * p.c_row;
      kPackedTiles[static_cast<size_t>(rows - 1)](in + tiles.first(tile) * p.k + first * rows, length,
                                                  weights, p.accumulate || first > 0 ? to : nullptr, to,
                                                  panel * kPanel, epilogue(p, panel));
    }
  });
}

}  // namespace

int64_t panels_size(int64_t k, int64_t n) { return k * panels_of(n) * kPanel; }

void pack_panels(float* packed, int64_t k, int64_t n, MatrixView<const float> b) {
  const int64_t panels = panels_of(n);
  parallel_each(panels, 1, [&](int64_t panel) {
    const int64_t width = std::min<int64_t>(kPanel, n - panel * kPanel);
    for (int64_t first = 0; first < k; first += kSumBlock) {
      const int64_t rows = std::min(kSumBlock, k - first);
      float* out = packed + (first * panels + panel * rows) * kPanel;
      const float* in = b.data + first * b.row + panel * kPanel * b.col;
      // The inner loop goes along memory; a transposed weight has its unit stride in k.
      if (b.row == 1) {
        for (int64_t j = 0; j < kPanel; ++j)
          for (int64_t i = 0; i < rows; ++i) out[i * kPanel + j] = j < width ? in[i + j * b.col] : 0;
      } else {
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < kPanel; ++j)
            out[i * kPanel + j] = j < width ? in[i * b.row + j * b.col] : 0;
      }
    }
  });
}

void multiply_panels(const PanelGemm& product) {
  if (product.m <= kRows && panels_of(product.n) < kFewPanels && product.a.col == 1)
    return multiply_in_place(product);
  const int64_t pieces = (product.m + kRows - 1) / kRows;
  const auto multiply = [&](int64_t piece) {
    PanelGemm p = product;
    p.m = std::min(kRows, product.m - piece * kRows);
    p.a.data += piece * kRows * p.a.row;
    p.c += piece * kRows * p.c_row;
    Tensor room = Tensor::empty({p.m * p.k});
    multiply_laid_out(p, room.mutable_data<float>());
  };
  // Along what there is more of; what is inside of a thread's work stays on that thread.
  if (pieces > panels_of(product.n))
    parallel_each(pieces, 1, multiply);
  else
    for (int64_t piece = 0; piece < pieces; ++piece) multiply(piece);
}

}  // namespace tensor::cpu
