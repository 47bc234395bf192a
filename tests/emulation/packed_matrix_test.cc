#include "tensor/packed_matrix.h"

#include <doctest/doctest.h>

#include "tensor/kernels.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::PackedMatrix;
using tensor::Shape;
using tensor::Tensor;

namespace {

// out (rows of wider ones) = a b, or += for the second of two products.
Tensor product(const Tensor& a, const PackedMatrix& b, int64_t n, DType type, bool accumulate) {
  Tensor out = Tensor::full({a.size(0), n + 3}, 0.5, type, a.device()).slice(1, 1, 1 + n);
  b.multiply(out, a, accumulate);
  return out;
}

}  // namespace

TEST_CASE("packed matrices as on the CPU: every type and layout, into their own type and f32") {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16})
    for (const int64_t m : {1, 5, 70})
      for (const Twins& b : twins({12, 9}, type, 1)) {
        const auto use = tensor::packed_for(m);
        const PackedMatrix here(b.cpu, use), there(b.cuda, use);
        for (const Twins& a : twins({m, 12}, type, 2))
          for (const DType out : {type, DType::f32})
            for (const bool accumulate : {false, true}) {
              if (type == DType::f64 && out != type) continue;
              const double band = out == DType::f64   ? 1e-14
                                  : out == DType::f32 ? 2e-6
                                  : out == DType::f16 ? 0x1p-9
                                                      : 0x1p-6;
              CHECK_MESSAGE(worst_error(product(a.cuda, there, 9, out, accumulate),
                                        product(a.cpu, here, 9, out, accumulate), 1) <= band,
                            a.text(), " x ", b.text(), " ", tensor::name_of(out), " ", accumulate);
            }
      }
}

TEST_CASE("packed matrices: nothing, and another one's sizes") {
  const Tensor b = made(1, {12, 9}).to(DType::f32).to(Device::cuda());
  const PackedMatrix packed(b);
  Tensor none = Tensor::empty({0, 9}, DType::f32, Device::cuda());
  packed.multiply(none, Tensor::empty({0, 12}, DType::f32, Device::cuda()), false);
  Tensor out = Tensor::empty({2, 8}, DType::f32, Device::cuda());
  CHECK(refused(
            [&] {
              tensor::kernels::packed_matmul(out, Tensor::zeros({2, 12}, DType::f32, Device::cuda()), b,
                                             tensor::PackedFor::few_rows, false);
            },
            tensor::ErrorKind::shape) ==
        "packed_matmul: (2, 12) f32 by another packed matrix into (2, 8) f32");
}
