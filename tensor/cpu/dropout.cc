#include <algorithm>
#include <cmath>

#include "tensor/cpu/vector_math.h"
#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements a tile: whole blocks of four
constexpr int kBlocks = 16;        // Philox blocks side by side, so that the rounds become vector code

// The words of blocks [first, first + kBlocks) of stream `seed`: block b's word w at words[w][b]. The same as
// philox() of tensor/random.h.
void philox_blocks(uint32_t words[4][kBlocks], uint64_t seed, uint64_t first) {
  uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  for (int b = 0; b < kBlocks; ++b) {
    const uint64_t counter = first + static_cast<uint64_t>(b);
    c0[b] = static_cast<uint32_t>(counter);
    c1[b] = static_cast<uint32_t>(counter >> 32);
    c2[b] = c3[b] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int b = 0; b < kBlocks; ++b) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0[b], p1 = uint64_t{0xCD9E8D57u} * c2[b];
      c0[b] = static_cast<uint32_t>(p1 >> 32) ^ c1[b] ^ k0;
      c2[b] = static_cast<uint32_t>(p0 >> 32) ^ c3[b] ^ k1;
      c1[b] = static_cast<uint32_t>(p1);
      c3[b] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  std::copy(c0, c0 + kBlocks, words[0]);
  std::copy(c1, c1 + kBlocks, words[1]);
  std::copy(c2, c2 + kBlocks, words[2]);
  std::copy(c3, c3 + kBlocks, words[3]);
}

}  // namespace

void dropout(Tensor& out, const Tensor& x, double p, uint64_t seed, uint64_t offset) {
  check(p >= 0 && p <= 1, ErrorKind::argument, "dropout: the probability {} is not between 0 and 1", p);
  expect_same_device(out, x, "dropout");
  check(out.shape() == x.shape(), ErrorKind::shape, "dropout: {} into {}", to_string(x.shape()),
        to_string(out.shape()));
  check(out.is_contiguous() && x.is_contiguous(), ErrorKind::argument, "dropout: {} has to be contiguous",
        describe(x));
  // uniform_float(word) >= p, in whole numbers.
  const auto threshold = static_cast<uint32_t>(std::ceil(p * 0x1p24));
  dispatch_float(x.dtype(), "dropout", [&]<class T>() {
    const T* source = x.data<T>();
    T* target = out.mutable_data<T>();
    const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
    parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      uint32_t words[4][kBlocks], flat[4 * kBlocks];
      for (int64_t first = begin; first < end; first += 4 * kBlocks) {
        philox_blocks(words, seed, offset + static_cast<uint64_t>(first / 4));
        for (int b = 0; b < kBlocks; ++b)
          for (int w = 0; w < 4; ++w) flat[4 * b + w] = words[w][b];
        const int64_t n = std::min<int64_t>(4 * kBlocks, end - first);
        const T* from = source + first;
        T* to = target + first;
        IMGCAP_VECTORIZE
        for (int64_t i = 0; i < n; ++i) {
          const T value = from[i] * scale;
          to[i] = flat[i] >> 8 >= threshold ? value : T(0);
        }
      }
    });
  });
}

}  // namespace tensor::cpu
