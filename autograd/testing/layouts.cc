#include "autograd/testing/layouts.h"

#include <algorithm>
#include <numeric>

namespace autograd::testing {

using tensor::Shape;
using tensor::Tensor;

std::vector<Layout> layouts_of(const Tensor& x) {
  std::vector<Layout> all;
  const int rank = x.rank();
  if (rank == 0) return all;
  if (rank >= 2) {
    std::vector<int> reversed(static_cast<size_t>(rank));
    std::iota(reversed.rbegin(), reversed.rend(), 0);
    const Tensor stored = x.permute(reversed).clone();
    all.push_back({"transposed", stored.permute(reversed), stored});
  }
  // What lies between is as far from the values as it can be, so that reading it shows.
  const double far = tensor::is_floating(x.dtype()) ? 1e4 : 0;
  Shape wide = x.shape();
  wide[rank - 1] = 2 * wide[rank - 1];
  Tensor strided = Tensor::full(wide, far, x.dtype(), x.device());
  Tensor every_second = strided.slice(rank - 1, 0, wide[rank - 1], 2);
  every_second.copy_(x);
  all.push_back({"strided", every_second, strided});
  Shape tall = x.shape();
  tall[0] += 3;
  Tensor larger = Tensor::full(tall, far, x.dtype(), x.device());
  Tensor inside = larger.slice(0, 2, 2 + x.size(0));
  inside.copy_(x);
  all.push_back({"offset", inside, larger});
  if (x.size(0) > 1 && x.numel() > 0) {
    const Tensor row = x.slice(0, 0, 1).clone();
    all.push_back({"expanded", row.expand(x.shape()), row, true});
  }
  return all;
}

}  // namespace autograd::testing
