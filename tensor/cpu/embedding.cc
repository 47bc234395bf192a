#include <algorithm>
#include <cstring>
#include <vector>

#include "tensor/cpu/sums.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements per tile
constexpr int64_t kColumns = 64;   // columns per tile of the backward pass: 256 bytes of f32

// The ids in order, in range of the weight (v, d).
Tensor checked_ids(const Tensor& weight, const Tensor& ids) {
  Tensor flat = ids.contiguous();
  const int64_t *id = flat.device_data<int64_t>(), words = weight.size(0);
  for (int64_t i = 0; i < flat.numel(); ++i)
    check(id[i] >= 0 && id[i] < words, ErrorKind::index,
          "embedding: id {} at position {} of ids {} is outside the {} rows of weight {}", id[i], i,
          ids.shape(), words, weight.shape());
  return flat;
}

// The ids that come too often for their gradients to be added in f32.
struct FrequentIds {
  std::vector<int64_t> ids;
  std::vector<int32_t> state;  // a word: how often it comes, or -1 - i for ids[i]

  FrequentIds(const int64_t* id, int64_t n, int64_t words) : state(static_cast<size_t>(words)) {
    constexpr int32_t kFew = 32;
    for (int64_t i = 0; i < n; ++i) {
      int32_t& count = state[static_cast<size_t>(id[i])];
      if (count == kFew) ids.push_back(id[i]);
      if (count <= kFew) ++count;
    }
    for (size_t i = 0; i < ids.size(); ++i) state[static_cast<size_t>(ids[i])] = -1 - static_cast<int32_t>(i);
  }
};

}  // namespace

void embedding(Tensor& out, const Tensor& weight, const Tensor& ids) {
  const Tensor flat = checked_ids(weight, ids), table = weight.contiguous();
  const int64_t* id = flat.device_data<int64_t>();
  const int64_t row = table.size(1) * size_of(table.dtype());
  if (out.numel() == 0) return;
  const std::byte* source = table.device_raw();
  std::byte* target = out.mutable_device_raw();
  parallel_each(flat.numel(), kGrain / table.size(1), [&](int64_t i) {
    std::memcpy(target + i * row, source + id[i] * row, static_cast<size_t>(row));
  });
}

// Parallel over columns: each thread goes through all ids, so a row's gradients are added in their order.
// Those of an id that comes often are summed in f64 first.
void embedding_backward(Tensor& dweight, const Tensor& dout, const Tensor& ids) {
  const Tensor flat = checked_ids(dweight, ids), gradient = dout.contiguous();
  const int64_t n = flat.numel(), width = dweight.size(1);
  const int64_t* id = flat.device_data<int64_t>();
  dispatch_float(dweight.dtype(), "embedding", [&]<class T>() {
    const T* g = gradient.device_data<T>();
    T* d = dweight.mutable_device_data<T>();
    const int64_t columns = std::max(kColumns, kGrain / std::max<int64_t>(1, n));
    const FrequentIds frequent(id, n, dweight.size(0));
    parallel_for(width, columns, [&](int64_t begin, int64_t end) {
      const int64_t tile = end - begin;
      std::vector<WideSum<T>> sums(frequent.ids.size(), WideSum<T>(tile));
      for (int64_t i = 0; i < n; ++i) {
        const T* from = g + i * width + begin;
        const int32_t state = frequent.state[static_cast<size_t>(id[i])];
        T* to = state < 0 ? sums[static_cast<size_t>(-1 - state)].room() : d + id[i] * width + begin;
        for (int64_t k = 0; k < tile; ++k) to[k] += from[k];
      }
      for (size_t k = 0; k < sums.size(); ++k) sums[k].move_to(d + frequent.ids[k] * width + begin);
    });
  });
}

}  // namespace tensor::cpu
