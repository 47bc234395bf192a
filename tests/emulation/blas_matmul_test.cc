// tensor::cuda::matmul on a device against the CPU's.
#include <array>
#include <limits>
#include <thread>
#include <vector>

#include "tensor/cuda/driver/blas_lt.h"
#include "tensor/cuda/driver/launches.h"
#include "tensor/dtype.h"
#include "tests/emulation/seeds.h"
#include "tests/tensor/reference.h"

using namespace tests;
using tensor::Device;

namespace {

Tensor number(const Shape& shape, DType dtype, uint64_t seed) {
  return random(shape, DType::f32, seed, -1, 1).to(dtype);
}

Tensor absolute(const Tensor& x) {
  Tensor out = Tensor::empty(x.shape(), x.dtype());
  tensor::kernels::unary(out, x, tensor::UnaryOp::abs);
  return out;
}

// Half of the distance between two numbers next to one another, relative to them.
double rounding(DType dtype) {
  return dtype == DType::f64   ? 0x1p-53
         : dtype == DType::f32 ? 0x1p-24
         : dtype == DType::f16 ? 0x1p-11
                               : 0x1p-8;
}

struct Product {
  Tensor a, b, out;  // on the CPU
  double alpha = 1, beta = 0;
};

// Multiplies p's numbers as they lie on a device, `a` by `b` into `out`, and compares with the CPU's product of the
// same numbers in f64. Band: sums of k numbers in f32 (f64), 1e-5 (1e-13) of the sum of |a| |b|, and one rounding
// of the result; what is below f16's least normal number, 2^-14, is rounded to multiples of 2^-24.
void compare(const Product& p, const Tensor& a, const Tensor& b, Tensor out) {
  const Tensor wide_a = p.a.to(DType::f64), wide_b = p.b.to(DType::f64);
  Tensor expected = p.out.to(DType::f64).clone(), scale = absolute(expected);
  tensor::kernels::matmul(expected, wide_a, wide_b, p.alpha, p.beta);
  tensor::kernels::matmul(scale, absolute(wide_a), absolute(wide_b), std::abs(p.alpha), std::abs(p.beta));
  tensor::kernels::matmul(out, a, b, p.alpha, p.beta);
  const auto found = out.to(Device::cpu()).to(DType::f64).to_vector<double>();
  const auto right = expected.to_vector<double>(), sizes = scale.to_vector<double>();
  const double sums = p.out.dtype() == DType::f64 ? 1e-13 : 1e-5;
  REQUIRE(found.size() == right.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const double band = sums * sizes[i] + rounding(p.out.dtype()) * std::abs(right[i]) + 0x1p-25;
    if (!(std::abs(found[i] - right[i]) <= band)) {
      CAPTURE(i);
      CAPTURE(found[i]);
      CAPTURE(right[i]);
      FAIL("differs by more than ", band);
    }
  }
}

Product product(const std::array<int64_t, 3>& sizes, DType in, DType out, double alpha = 1, double beta = 0) {
  const auto [m, n, k] = sizes;
  return {number({m, k}, in, 1), number({k, n}, in, 2), number({m, n}, out, 3), alpha, beta};
}

// The same numbers on the device, where they lie as their transpose.
Tensor transposed_there(const Tensor& x) {
  return x.transpose(-2, -1).contiguous().to(Device::cuda()).transpose(-2, -1);
}
Tensor there(const Tensor& x, bool transposed) {
  return transposed ? transposed_there(x) : x.to(Device::cuda());
}

}  // namespace

TEST_CASE("matmul of a device: sizes around the edges of blocks, in every type") {
  constexpr std::array<int64_t, 9> all{1, 2, 7, 31, 32, 33, 127, 128, 129};
  constexpr std::array<DType, 4> types{DType::f32, DType::f16, DType::f64, DType::bf16};
  size_t turn = 0;  // so that each size meets each type and transpose, if not each size of the others
  for (const int64_t m : all)
    for (const int64_t n : all)
      for (const int64_t k : all) {
        const DType type = types[turn % 4];
        const bool ta = turn / 4 % 2 != 0, tb = turn / 8 % 2 != 0;
        ++turn;
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(ta);
        CAPTURE(tb);
        CAPTURE(name_of(type));
        const Product p = product({m, n, k}, type, type, 1, turn % 3 == 0 ? .5 : 0);
        compare(p, there(p.a, ta), there(p.b, tb), p.out.to(Device::cuda()));
      }
}

TEST_CASE("matmul of a device: every type, transpose, alpha and beta") {
  struct Types {
    DType in, out;
  };
  for (const Types types : {Types{DType::f32, DType::f32},
                            {DType::f64, DType::f64},
                            {DType::f16, DType::f16},
                            {DType::bf16, DType::bf16},
                            {DType::f16, DType::f32},
                            {DType::bf16, DType::f32},
                            {DType::f32, DType::f16}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const double beta : {0., 1., -.75}) {
          CAPTURE(name_of(types.in));
          CAPTURE(name_of(types.out));
          const Product p = product({33, 20, 7}, types.in, types.out, beta == 1 ? 1 : 1.25, beta);
          compare(p, there(p.a, ta), there(p.b, tb), p.out.to(Device::cuda()));
        }
  Product mixed = product({5, 6, 7}, DType::f16, DType::bf16, 1, 1);
  mixed.b = mixed.b.to(DType::f32);
  compare(mixed, there(mixed.a, false), there(mixed.b, true), mixed.out.to(Device::cuda()));
}

TEST_CASE("matmul of a device: long sums are rounded once") {
  Tensor terms = Tensor::zeros({1, 1024});
  float* values = terms.mutable_data<float>();
  values[0] = 2048, values[1] = 1, values[256] = -1;  // f16 has no 2049
  const Tensor a = terms.to(DType::f16).to(Device::cuda()),
               b = Tensor::full({1024, 1}, 1, DType::f16, Device::cuda());
  Tensor out = Tensor::empty({1, 1}, DType::f16, Device::cuda());
  tensor::kernels::matmul(out, a, b, 1, 0);
  CHECK(out.item() == 2048);
  for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    const Product p = product({17, 19, 2100}, type, type, 1, 1);
    compare(p, there(p.a, false), there(p.b, false), p.out.to(Device::cuda()));
  }
}

TEST_CASE("matmul of a device: on another device than the thread's, and from several threads") {
  const Product p = product({65, 34, 600}, DType::f32, DType::f32);
  struct There {
    Tensor a, b, out;
  };
  std::vector<There> all;
  for (int i = 0; i < 4; ++i) {
    const Device device = i % 2 == 0 ? Device::cuda() : second_device();
    all.push_back({p.a.to(device), p.b.to(device), p.out.to(device)});
  }
  std::vector<std::thread> threads;
  for (There& there_now : all)
    threads.emplace_back([&there_now] {
      for (int turn = 0; turn < 5; ++turn)
        tensor::kernels::matmul(there_now.out, there_now.a, there_now.b, 1, 0);
    });
  for (std::thread& thread : threads) thread.join();
  compare(p, there(p.a, false), there(p.b, false), p.out.to(Device::cuda()));
  for (const There& x : all) CHECK(same_bits(x.out.to(Device::cpu()), all[0].out.to(Device::cpu())));
  Tensor again = p.out.to(Device::cuda());
  tensor::kernels::matmul(again, all[0].a, all[0].b, 1, 0);
  CHECK(same_bits(again.to(Device::cpu()), all[0].out.to(Device::cpu())));
}

TEST_CASE("matmul of a device: strides of all kinds") {
  const Product p = product({8, 9, 6}, DType::f32, DType::f32, 1, .5);
  const auto padded = [](const Tensor& x, int64_t down, int64_t along) {
    Tensor wide =
        Tensor::full({x.size(0) * down + 3, x.size(1) * along + 5}, std::nan(""), x.dtype(), Device::cuda());
    Tensor view = wide.slice(0, 3, 3 + x.size(0) * down, down).slice(1, 2, 2 + x.size(1) * along, along);
    view.copy_(x.to(Device::cuda()));
    return view;
  };
  for (const int64_t down : {1, 2})
    for (const int64_t along : {1, 3})
      compare(p, padded(p.a, down, along), padded(p.b.t(), along, down).t(), padded(p.out, 2, 1));
  const Tensor row = number({1, 6}, DType::f32, 4), column = number({8, 1}, DType::f32, 5);
  Product expanded = p;
  expanded.a = row.expand({8, 6});
  compare(expanded, row.to(Device::cuda()).expand({8, 6}), there(p.b, false), p.out.to(Device::cuda()));
  expanded.a = column.expand({8, 6});
  compare(expanded, column.to(Device::cuda()).expand({8, 6}), there(p.b, false), p.out.to(Device::cuda()));
}

TEST_CASE("matmul of a device: what lies beside the output stays") {
  Tensor wide = Tensor::full({4, 9}, 7, DType::f32, Device::cuda());
  Tensor out = wide.slice(1, 2, 8);
  tensor::kernels::matmul(out, Tensor::full({4, 3}, 1, DType::f32, Device::cuda()),
                          Tensor::full({3, 6}, 1, DType::f32, Device::cuda()), 1, 0);
  const auto found = wide.to_vector<float>();
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == (i % 9 >= 2 && i % 9 < 8 ? 3.f : 7.f));
}

TEST_CASE("matmul of a device: one row, one column, whatever their strides") {
  for (const std::array<int64_t, 3>& sizes :
       {std::array<int64_t, 3>{1, 5, 4}, {5, 1, 4}, {5, 4, 1}, {1, 1, 4}, {1, 4, 1}, {4, 1, 1}, {1, 1, 1}}) {
    const Product p = product(sizes, DType::f64, DType::f64, 2, 1);
    const auto strided = [](const Tensor& x) {  // every other row and column of a larger matrix
      Tensor view = Tensor::full({2 * x.size(0), 2 * x.size(1)}, std::nan(""), x.dtype(), Device::cuda())
                        .slice(0, 0, 2 * x.size(0), 2)
                        .slice(1, 0, 2 * x.size(1), 2);
      view.copy_(x.to(Device::cuda()));
      return view;
    };
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        compare(p, there(p.a, ta), there(p.b, tb), p.out.to(Device::cuda()));
    Tensor out = Tensor::full({p.out.size(0), p.out.size(1) + 3}, 0, DType::f64, Device::cuda())
                     .slice(1, 1, 1 + p.out.size(1));
    out.copy_(p.out.to(Device::cuda()));
    compare(p, strided(p.a), strided(p.b), out);
  }
  const Product row = product({1, 5, 4}, DType::f64, DType::f64);
  compare(row, there(row.a, true), there(row.b, false),
          Tensor::zeros({5, 1}, DType::f64, Device::cuda()).t());
  const Product one = product({1, 1, 1}, DType::f64, DType::f64);
  compare(one, there(one.a, false).expand({1, 1}), there(one.b, true), one.out.to(Device::cuda()));
}

TEST_CASE("matmul of a device: batches, shared operands, transposed ones") {
  for (const int64_t batches : {1, 2, 5})
    for (const int64_t of_a : {int64_t{1}, batches})
      for (const int64_t of_b : {int64_t{1}, batches})
        for (const bool transposed : {false, true}) {
          CAPTURE(batches);
          CAPTURE(of_a);
          CAPTURE(of_b);
          const Product p{number({of_a, 7, 4}, DType::f32, 1), number({of_b, 4, 9}, DType::f32, 2),
                          number({batches, 7, 9}, DType::f32, 3), 1, -1};
          compare(p, there(p.a, transposed), there(p.b, transposed), p.out.to(Device::cuda()));
          // A batch by its strides alone, and operands that have to be copied.
          const Tensor a = there(p.a, transposed).expand({batches, 7, 4});
          compare(p, a, there(p.b, false), p.out.to(Device::cuda()));
          const Tensor swapped = p.a.permute({1, 2, 0}).contiguous().to(Device::cuda()).permute({2, 0, 1});
          compare(p, swapped.expand({batches, 7, 4}), there(p.b, false), p.out.to(Device::cuda()));
        }
  const Tensor none = Tensor::empty({0, 2, 3}, DType::f32, Device::cuda());
  Tensor out = Tensor::empty({0, 2, 4}, DType::f32, Device::cuda());
  tensor::kernels::matmul(out, none, Tensor::empty({0, 3, 4}, DType::f32, Device::cuda()), 1, 0);
}

TEST_CASE("matmul of a device: sums of nothing, and nothing at all") {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    const Tensor a = Tensor::empty({2, 0}, type, Device::cuda()),
                 b = Tensor::empty({0, 3}, type, Device::cuda());
    Tensor out = Tensor::full({2, 3}, std::nan(""), type, Device::cuda());
    tensor::kernels::matmul(out, a, b, 1, 0);
    CHECK(out.to(Device::cpu()).to(DType::f64).to_vector<double>() == std::vector<double>(6, 0));
    out.fill_(4);
    tensor::kernels::matmul(out, a, b, 1, .5);
    CHECK(out.to(Device::cpu()).to(DType::f64).to_vector<double>() == std::vector<double>(6, 2));
  }
  Tensor empty = Tensor::empty({0, 3}, DType::f32, Device::cuda());
  tensor::kernels::matmul(empty, Tensor::empty({0, 2}, DType::f32, Device::cuda()),
                          Tensor::empty({2, 3}, DType::f32, Device::cuda()), 1, 0);
}

TEST_CASE("matmul of a device: integers are refused as on the CPU") {
  for (const Device device : {Device::cpu(), Device::cuda()}) {
    Tensor out = Tensor::empty({2, 2}, DType::i32, device);
    const Tensor x = Tensor::zeros({2, 2}, DType::i32, device);
    check_error(ErrorKind::dtype, {"matmul: f32 or f64 is needed, not i32"},
                [&] { tensor::kernels::matmul(out, x, x, 1, 0); });
  }
}

TEST_CASE("matmul of a device: infinities, NaN and what f16 cannot hold, as on the CPU") {
  const auto both = [](const std::vector<float>& row, const std::vector<float>& column, DType type) {
    const auto k = static_cast<int64_t>(row.size());
    const Tensor a = Tensor::from(row, {1, k}).to(type), b = Tensor::from(column, {k, 1}).to(type);
    Tensor here = Tensor::empty({1, 1}, type), other = Tensor::empty({1, 1}, type, Device::cuda());
    tensor::kernels::matmul(here, a, b, 1, 0);
    tensor::kernels::matmul(other, a.to(Device::cuda()), b.to(Device::cuda()), 1, 0);
    const double x = here.item(), y = other.item();
    CHECK((x == y || (std::isnan(x) && std::isnan(y))));
    return y;
  };
  const float inf = std::numeric_limits<float>::infinity();
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    CHECK(both({1, inf}, {1, 1}, type) == inf);
    CHECK(std::isnan(both({inf, 1}, {0, 1}, type)));
    CHECK(std::isnan(both({inf, -inf}, {1, 1}, type)));
  }
  CHECK(both({256, 256}, {256, 256}, DType::f16) == inf);
  CHECK(both({256, 256, 1}, {256, -256, 1}, DType::f16) ==
        1);  // the sum passes what f16 holds, not its result
}

TEST_CASE("matmul of a device: a product is counted, with what it computes and moves") {
  const auto before = tensor::cuda::launch_statistics()["matmul"];
  const Tensor a = number({6, 5}, DType::f16, 1).to(Device::cuda()),
               b = number({5, 4}, DType::f16, 2).to(Device::cuda());
  Tensor out = Tensor::zeros({6, 4}, DType::f32, Device::cuda());
  tensor::kernels::matmul(out, a, b, 1, 1);
  const auto after = tensor::cuda::launch_statistics()["matmul"];
  CHECK(after.launches - before.launches == 1);
  CHECK(after.flops - before.flops == 2 * 6 * 5 * 4);
  CHECK(after.bytes - before.bytes == 30 * 2 + 20 * 2 + 2 * 24 * 4);
}

TEST_CASE("products of a device: bias and ReLU") {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    const Tensor a = number({6, 5}, type, 1), b = number({5, 9}, type, 2), no_bias = Tensor::zeros({9}, type);
    const Tensor a_there = there(a, false), b_there = there(b, false);
    std::vector<Tensor> kept;  // so that each bias has its own address
    for (const Tensor& bias : {no_bias, number({9}, type, 3), number({9}, type, 4)})
      for (const bool relu : {false, true}) {
        kept.push_back(there(bias, false));
        Tensor out = Tensor::empty({6, 9}, type, Device::cuda());
        tensor::cuda::multiply({.op = "linear",
                                .device = Device::cuda(),
                                .m = 6,
                                .n = 9,
                                .k = 5,
                                .input = type,
                                .output = type,
                                .a = {.data = a_there.device_raw(), .row_stride = 5},
                                .b = {.data = b_there.device_raw(), .row_stride = 9},
                                .out = out.mutable_device_raw(),
                                .out_row_stride = 9,
                                .bias = bias.shares_storage(no_bias) ? nullptr : kept.back().device_raw(),
                                .relu = relu});
        Tensor expected = Tensor::zeros({6, 9}, DType::f64);
        expected.copy_(bias);
        tensor::kernels::matmul(expected, a.to(DType::f64), b.to(DType::f64), 1, 1);
        const auto found = out.to(Device::cpu()).to(DType::f64).to_vector<double>();
        auto right = expected.to_vector<double>();
        for (size_t i = 0; i < found.size(); ++i) {
          if (relu) right[i] = std::max(right[i], 0.);
          const double sums = type == DType::f64 ? 1e-14 : 1e-5;
          CHECK(std::abs(found[i] - right[i]) <= rounding(type) * std::abs(right[i]) + sums);
        }
      }
  }
}

TEST_CASE("products of a device: a size that cuBLASLt cannot have is an error") {
  check_error(ErrorKind::argument, {"matmul: cuda:0: a size of 2147483648, cuBLASLt takes 1 to 2^31 - 1"},
              [] {
                tensor::cuda::multiply({.op = "matmul",
                                        .device = Device::cuda(),
                                        .m = 1,
                                        .n = int64_t{1} << 31,
                                        .k = 1,
                                        .input = DType::f32,
                                        .output = DType::f32,
                                        .a = {},
                                        .b = {},
                                        .out = nullptr,
                                        .out_row_stride = int64_t{1} << 31});
              });
}
