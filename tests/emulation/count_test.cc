// What launches say that they compute and move, on a device that only counts, too: tests/CMakeLists.txt runs these once more
// with IMGCAP_EMULATION_COUNT=1.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "tensor/cuda/driver/launches.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/kernels.h"
#include "tensor/tensor.h"

using tensor::Device;
using tensor::DType;
using tensor::Tensor;
using tensor::cuda::LaunchCount;

namespace {

// By op, what `call` launches.
std::map<std::string, LaunchCount> counted(const auto& call) {
  auto before = tensor::cuda::launch_statistics();
  call();
  std::map<std::string, LaunchCount> all;
  for (const auto& [op, after] : tensor::cuda::launch_statistics()) {
    const LaunchCount& first = before[op];
    if (after.launches > first.launches)
      all[op] = {after.launches - first.launches, after.flops - first.flops, after.bytes - first.bytes};
  }
  return all;
}

}  // namespace

TEST_CASE("counted: launches, FLOPs and bytes, whether or not kernels run") {
  const bool counts = tensor::cuda::emulation::counts_only();
  const int64_t m = counts ? 40'000 : 40, k = counts ? 70'000 : 70,
                n = 16;  // 11 GB, of which nothing is touched
  double uploaded = -1, filled = -1;
  auto all = counted([&] {
    const Tensor a = Tensor::full({m, k}, 2, DType::f32, Device::cuda()),
                 b = Tensor::full({k, n}, 3, DType::f32, Device::cuda());
    Tensor out = Tensor::empty({m, n}, DType::f32, Device::cuda());
    tensor::kernels::matmul(out, a, b, 1, 0);
    out.copy_(Tensor::full({m, n}, 1));
    uploaded = out.slice(0, 0, 1).to(Device::cpu()).to_vector<float>()[0];
    filled = b.slice(0, 0, 1).to(Device::cpu()).to_vector<float>()[0];
  });
  const auto mn = static_cast<double>(m * n), mk = static_cast<double>(m * k),
             kn = static_cast<double>(k * n);
  CHECK(all["fill"].launches == 2);
  CHECK(all["fill"].bytes == 4 * (mk + kn));
  CHECK(all["matmul"].launches == 1);
  CHECK(all["matmul"].flops == 2 * mk * n);
  CHECK(all["matmul"].bytes == 4 * (mk + kn + mn));
  CHECK(all["upload"].bytes == 4 * mn);
  CHECK(all["download"].bytes == 2 * 4 * n);
  CHECK(uploaded == 1);
  CHECK(filled == (counts ? 0 : 3));
}

TEST_CASE("counted: more memory than there is, is refused") {
  CHECK_THROWS(Tensor::empty({int64_t{65} << 30}, DType::u8, Device::cuda()));
  CHECK(Tensor::full({3}, 2, DType::f32, Device::cuda(1)).to_vector<float>().size() == 3);
}
