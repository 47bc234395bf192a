#include <limits>
#include <vector>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr DType kFloatTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

// The CPU sums f32 in f64, a device in f32; 16-bit results are one step apart at most.
double band(DType type) {
  switch (type) {
    case DType::f32:
      return 2e-6;
    case DType::f64:
      return 1e-14;
    case DType::f16:
      return 0x1p-10;
    default:
      return 0x1p-7;
  }
}

Tensor softmax(const Tensor& x) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::softmax(out, x);
  return out;
}

Tensor log_softmax(const Tensor& x) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::log_softmax(out, x);
  return out;
}

void check_rows(const Twins& x, const std::string& what) {
  const DType type = x.cpu.dtype();
  const double least = type == DType::f16 ? 0x1p-14 : 0x1p-126;
  CHECK_MESSAGE(worst_error(softmax(x.cuda), softmax(x.cpu), least) <= band(type), what, " ", x.text());
  CHECK_MESSAGE(worst_error(log_softmax(x.cuda), log_softmax(x.cpu), 1) <= band(type), what, " ", x.text());
}

}  // namespace

TEST_CASE("softmax and log_softmax as on the CPU, at every width around warps, blocks and packs") {
  for (const DType type : kFloatTypes)
    for (const int64_t width : kEdges)
      for (const int64_t rows : {1, 9}) {
        check_rows(Twins(made(1, {rows, width}, -8, 8).to(type)), "random");
        check_rows(Twins("one element in", made(2, {rows * width + 1}, -8, 8).to(type),
                         [&](const Tensor& x) {
                           return x.slice(0, 1, rows * width + 1).view({rows, width});
                         }),
                   "random");
      }
}

TEST_CASE("softmax and log_softmax of rows with infinities and NaN, and of rising ones") {
  for (const DType type : kFloatTypes)
    for (const int64_t width : {3, 40, 1200}) {
      const auto with = [&](double fill, int64_t at, double value) {
        Tensor x = Tensor::full({2, width}, fill, type);
        x.slice(1, at, at + 1).fill_(value);
        return Twins(x);
      };
      for (const int64_t at : {int64_t{0}, width / 2, width - 1}) {
        for (const double value : {kInf, -kInf, kNan, 5.0}) {
          check_rows(with(1, at, value), "among numbers");
          check_rows(with(-kInf, at, value), "among -inf");
        }
        check_rows(with(kInf, at, 1), "among inf");
      }
      // Each thread meets a greater one again and again.
      Tensor rising = Tensor::arange(width, DType::f64);
      kernels::affine(rising, rising, 0.05, 0);
      check_rows(Twins(rising.to(type)), "rising");
    }
}

TEST_CASE("softmax in place, and of nothing") {
  Twins x(made(3, {4, 300}));
  const Tensor want = softmax(x.cpu);
  kernels::softmax(x.cuda, x.cuda);
  CHECK(worst_error(x.cuda, want) <= band(DType::f64));
  CHECK(softmax(Tensor::empty({0, 4}, DType::f32, Device::cuda())).numel() == 0);
  CHECK(softmax(Tensor::empty({4, 0}, DType::f32, Device::cuda())).numel() == 0);
}

TEST_CASE("softmax is one launch, reads and writes each element once, and gives the same bits in any order") {
  for (const int64_t width : {100, 3000}) {
    const Tensor x = made(4, {10, width}).to(DType::f32).to(Device::cuda());
    const auto n = static_cast<double>(x.numel());
    expect_launches(
        "softmax", {1, 7 * n, 8 * n}, [&] { softmax(x); }, 2);
    expect_launches(
        "log_softmax", {1, 7 * n, 8 * n}, [&] { log_softmax(x); }, 2);
    expect_same_in_any_order([&] { return softmax(x); });
  }
}
