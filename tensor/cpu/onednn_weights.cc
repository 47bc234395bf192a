#if defined(IMGCAP_HAVE_ONEDNN)
#include "tensor/cpu/onednn_weights.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "tensor/cpu/panel.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// Where each index of a dimension lies in a blocked layout: an element is at the sum over its dimensions.
std::vector<int64_t> places(const dnnl::memory::desc& desc, int dimension) {
  const dnnl_memory_desc_t& d = desc.data;
  const dnnl_blocking_desc_t& blocking = d.format_desc.blocking;
  std::vector<int64_t> result(static_cast<size_t>(d.padded_dims[dimension]));
  for (size_t i = 0; i < result.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t size = 1;  // of the blocks inside this one
    for (int b = blocking.inner_nblks - 1; b >= 0; --b) {
      if (blocking.inner_idxs[b] == dimension) {
        result[i] += rest % blocking.inner_blks[b] * size;
        rest /= blocking.inner_blks[b];
      }
      size *= blocking.inner_blks[b];
    }
    result[i] += rest * blocking.strides[dimension];
  }
  return result;
}

}  // namespace

dnnl::memory::dims weight_dims(const PackedConv2d& weight) {
  const Shape& s = weight.weight_shape;
  return weight.depthwise() ? dnnl::memory::dims{s[0], 1, 1, s[2], s[3]}
                            : dnnl::memory::dims{s[0], s[1], s[2], s[3]};
}

void lay_out_weights(bf16* to, const dnnl::memory::desc& desc, const PackedConv2d& weight) {
  const Shape& s = weight.weight_shape;
  const int kernel = weight.depthwise() ? 3 : 2;  // the dimension of its rows
  const auto out = places(desc, 0), in = places(desc, weight.depthwise() ? 2 : 1),
             rows = places(desc, kernel), columns = places(desc, kernel + 1);
  const int64_t width = weight.depthwise() ? s[0] : dense::kPanel, taps = s[2] * s[3];
  const float* from = weight.weight.device_data<float>();
  std::memset(to, 0, desc.get_size());
  parallel_each((s[0] + width - 1) / width, 1, [&](int64_t panel) {
    const int64_t first = panel * width, count = std::min(width, s[0] - first);
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = 0; c < s[1]; ++c) {
        const float* row = from + ((panel * taps + tap) * s[1] + c) * width;
        bf16* there = to + rows[static_cast<size_t>(tap / s[3])] + columns[static_cast<size_t>(tap % s[3])] +
                      in[static_cast<size_t>(c)];
        for (int64_t i = 0; i < count; ++i) there[out[static_cast<size_t>(first + i)]] = bf16(row[i]);
      }
  });
}

}  // namespace tensor::cpu
#endif
