#include "tensor/cuda/emulation/emulation.h"
#include "tests/emulation/seeds.h"

namespace emulation = tensor::cuda::emulation;

namespace tests {

void set_order(uint64_t seed) { emulation::set_seed(seed); }

std::optional<int64_t> waits() { return emulation::waits(); }

void forget_launches() { emulation::take_launches(); }

void check_launches(const std::string& op, int64_t launches, double reads) {
  int64_t seen = 0;
  for (const emulation::LaunchRecord& launch : emulation::take_launches()) {
    if (launch.op != op) continue;
    ++seen;
    CHECK(static_cast<double>(launch.distinct_read + launch.distinct_written) == launch.stated_bytes);
    CHECK(static_cast<double>(launch.read) <= reads * static_cast<double>(launch.distinct_read));
    CHECK(launch.written == launch.distinct_written);
  }
  CHECK(seen == launches);
}

}  // namespace tests
