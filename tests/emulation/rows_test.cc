// What threads exchange in rows.
#include <doctest/doctest.h>

#include <vector>

#include "tensor/tensor.h"
#include "tests/emulation/row_kernels.h"

using tensor::Device;
using tensor::Tensor;
using tensor::cuda::Barriers;

namespace {

struct Rows {
  dim3 block;
  int64_t blocks;

  int64_t threads() const { return blocks * block.x * block.y; }
  tensor::cuda::Launch launch(const char* op) const {
    return {op, Device::cuda(), dim3(static_cast<unsigned>(blocks)), block, Barriers::some};
  }
  Tensor numbers(int64_t of, int64_t modulus) const {
    std::vector<int64_t> all(static_cast<size_t>(threads()));
    for (size_t i = 0; i < all.size(); ++i)
      all[i] = (static_cast<int64_t>(i) * of + 3) % modulus - modulus / 2;
    return Tensor::from(all, {threads()}, Device::cuda());
  }
  Tensor room() const { return Tensor::empty({threads()}, tensor::DType::i64, Device::cuda()); }
};

const Rows kRows[] = {{dim3(32), 1}, {dim3(32, 8), 3}, {dim3(64), 2}, {dim3(256), 3}, {dim3(1024), 2}};

}  // namespace

TEST_CASE("values of a row of threads are joined from left to right") {
  for (const Rows& rows : kRows) {
    const Tensor a = rows.numbers(7, 3), b = rows.numbers(11, 17);
    Tensor joined = rows.room();
    tests::launch_join_rows(rows.launch("join_rows"), joined.mutable_device_data<int64_t>(),
                            a.device_data<int64_t>(), b.device_data<int64_t>());
    const std::vector<int64_t> got = joined.to_vector<int64_t>(), as = a.to_vector<int64_t>(),
                               bs = b.to_vector<int64_t>();
    for (size_t first = 0; first < got.size(); first += rows.block.x) {
      int64_t value = 1, sum = 0;
      for (size_t i = first; i < first + rows.block.x; ++i) value = as[i] * value + bs[i], sum += bs[i];
      for (size_t i = first; i < first + rows.block.x; ++i) CHECK(got[i] == value + 1000 * sum);
    }
  }
}

TEST_CASE("values of a row of threads are added up") {
  for (const Rows& rows : kRows) {
    const Tensor x = rows.numbers(13, 101);
    Tensor sums = rows.room(), totals = rows.room();
    tests::launch_scan_rows(rows.launch("scan_rows"), sums.mutable_device_data<int64_t>(),
                            totals.mutable_device_data<int64_t>(), x.device_data<int64_t>());
    const std::vector<int64_t> numbers = x.to_vector<int64_t>(), got = sums.to_vector<int64_t>(),
                               all = totals.to_vector<int64_t>();
    for (size_t first = 0; first < got.size(); first += rows.block.x) {
      int64_t sum = 0;
      for (size_t i = first; i < first + rows.block.x; ++i) CHECK(got[i] == (sum += numbers[i]));
      for (size_t i = first; i < first + rows.block.x; ++i)
        CHECK(all[i] == sum + 1000 * static_cast<int64_t>(i - first + 1));
    }
  }
}
