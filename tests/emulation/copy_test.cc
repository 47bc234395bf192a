// copy and fill on devices, against the CPU's: every pair of types, layouts on both sides, and ways between devices.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tensor/cuda/driver/launches.h"
#include "tensor/format.h"
#include "tensor/kernels.h"
#include "tensor/tensor.h"
#include "tests/emulation/seeds.h"
#include "tests/refused.h"

namespace {

using tensor::Device;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

const Device kHost, kFirst = Device::cuda(0);
const std::vector<DType> kTypes = {DType::f32, DType::f64, DType::f16, DType::bf16,
                                   DType::i32, DType::i64, DType::u8,  DType::boolean};

// Numbers of the type that all others hold, but for rounding: small ones, and for floating types all kinds.
Tensor numbers(const Shape& shape, DType type, bool to_integers) {
  const std::vector<double> floats = {
      0,        -0.0, 1,        1.5,       0x1p-20, 1.0000001,        65519, 65520,     1e30,       -3e-41,
      0x1p-133, -2e5, INFINITY, -INFINITY, NAN,     3.14159265358979, 1e300, -0x1p-149, 0x1.8p-150, 100};
  std::vector<double> values;
  for (int64_t i = 0; i < shape.numel(); ++i)
    values.push_back(is_floating(type) && !to_integers ? floats[static_cast<size_t>(i) % floats.size()]
                                                       : static_cast<double>(i * 7 % 120));
  return Tensor::from<double>(values, shape).to(type);
}

std::vector<std::byte> bytes_of(const Tensor& x) {
  const Tensor here = x.to(kHost).contiguous();
  if (here.numel() == 0) return {};
  return {here.raw(), here.raw() + here.bytes()};
}

// The element that differs, or -1. NaNs differ by their kind alone.
int64_t first_difference(const Tensor& got, const Tensor& wanted) {
  const std::vector<std::byte> a = bytes_of(got), b = bytes_of(wanted);
  if (a == b) return -1;
  const Tensor x = got.to(kHost), y = wanted.to(kHost);
  const auto size = static_cast<size_t>(size_of(x.dtype()));
  const std::vector<double> u = x.to(DType::f64).to_vector<double>(),
                            v = y.to(DType::f64).to_vector<double>();
  for (size_t i = 0; i < u.size(); ++i)
    if (std::memcmp(&a[i * size], &b[i * size], size) != 0 && !(u[i] != u[i] && v[i] != v[i]))
      return static_cast<int64_t>(i);
  return -1;
}

struct View {
  const char* name;
  std::function<Tensor(const Tensor&)> of;  // a view of another layout
  std::function<Shape(Shape)> base;         // of which shape, for a view of (5, 7, 6)
};

const std::vector<View> kViews = {
    {"contiguous", [](const Tensor& x) { return x; }, [](Shape s) { return s; }},
    {"transposed", [](const Tensor& x) { return x.transpose(0, 2); },
     [](Shape s) {
       return Shape{s[2], s[1], s[0]};
     }},
    {"every second", [](const Tensor& x) { return x.slice(2, 1, x.size(2), 2); },
     [](Shape s) {
       return Shape{s[0], s[1], 2 * s[2] + 1};
     }},
    {"inside", [](const Tensor& x) { return x.slice(0, 1, x.size(0) - 1); },
     [](Shape s) {
       return Shape{s[0] + 2, s[1], s[2]};
     }},
};

const Shape kShape{5, 7, 6};

}  // namespace

TEST_CASE("copies between all types are the CPU's, bit for bit") {
  for (const int64_t n : {1, 7, 16, 33, 255, 1025}) {
    for (const DType from : kTypes) {
      for (const DType to : kTypes) {
        const Tensor x = numbers({n}, from, !is_floating(to)), wanted = x.to(to);
        Tensor out = Tensor::empty({n}, to, kFirst);
        out.copy_(x.to(kFirst));
        CAPTURE(tensor::format("{} {} to {}", n, name_of(from), name_of(to)));
        REQUIRE(first_difference(out, wanted) == -1);
      }
    }
  }
}

TEST_CASE("copies with any strides on both sides, on a device and between") {
  for (const Device& from : {kHost, kFirst}) {
    for (const Device& to : {kHost, kFirst, tests::second_device()}) {
      for (const auto& [x_type, out_type] :
           {std::pair(DType::f32, DType::f32), std::pair(DType::f32, DType::f16),
            std::pair(DType::u8, DType::i64), std::pair(DType::f64, DType::f64)}) {
        for (const View& x_view : kViews) {
          for (const View& out_view : kViews) {
            CAPTURE(tensor::format("{} {} {} to {} {} {}", to_string(from), name_of(x_type), x_view.name,
                                   to_string(to), name_of(out_type), out_view.name));
            const Tensor x_base = numbers(x_view.base(kShape), x_type, !is_floating(out_type));
            Tensor wanted_base = Tensor::full(out_view.base(kShape), 9, out_type);
            Tensor base = wanted_base.to(to).clone();
            Tensor wanted = out_view.of(wanted_base), out = out_view.of(base);
            wanted.copy_(x_view.of(x_base));
            out.copy_(x_view.of(x_base.to(from)));
            REQUIRE(first_difference(base, wanted_base) == -1);  // what lies between stays, too
          }
        }
      }
    }
  }
}

TEST_CASE("copies repeat what is smaller") {
  for (const Device& from : {kHost, kFirst, tests::second_device()}) {
    const Tensor row = numbers({6}, DType::f32, false), column = numbers({5, 1, 1}, DType::f32, false);
    for (const Tensor& x : {row, column, row.expand({7, 6}), Tensor::scalar(3)}) {
      for (const DType type : {DType::f32, DType::f64, DType::bf16}) {
        Tensor wanted = Tensor::empty(kShape, type), out = Tensor::empty(kShape, type, kFirst);
        wanted.copy_(x);
        out.copy_(x.to(from));
        CHECK(first_difference(out, wanted) == -1);
      }
    }
  }
}

TEST_CASE("an expanded tensor crosses to a device once") {
  auto before = tensor::cuda::launch_statistics();
  const Tensor there = Tensor::arange(6, DType::f32).expand({1000, 6}).to(kFirst);
  CHECK(there.to_vector<float>()[5999] == 5);
  auto after = tensor::cuda::launch_statistics();
  CHECK(after["upload"].bytes - before["upload"].bytes == 24);
}

TEST_CASE(
    "pieces go to a device in one copy, whatever their sizes are beside those of the blocks on the way") {
  const int64_t large = (int64_t{4} << 20) / 4;  // numbers in such a block
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{3, 0, 5}, {large, 1}, {large - 1, 2, large + 7}, {0, 2 * large + 3, 0}, {}}) {
    std::vector<Tensor> pieces;
    int64_t total = 0;
    for (const int64_t size : sizes) {
      pieces.push_back(Tensor::arange(total + size, DType::i32).slice(0, total, total + size));
      total += size;
    }
    auto before = tensor::cuda::launch_statistics();
    Tensor out = Tensor::empty({total}, DType::i32, kFirst);
    tensor::kernels::copy_pieces(out, pieces);
    auto after = tensor::cuda::launch_statistics();
    CHECK(after["upload"].launches - before["upload"].launches == (total > 0 ? 1 : 0));
    CHECK(first_difference(out, Tensor::arange(total, DType::i32)) == -1);
  }
  Tensor out = Tensor::empty({2}, DType::f32, kFirst);
  CHECK(tests::refused([&] { tensor::kernels::copy_pieces(out, {Tensor::zeros({2}, DType::f32, kFirst)}); },
                       tensor::ErrorKind::device) == "copy_pieces: a piece is on cuda:0, not on the CPU");
}

TEST_CASE("what crosses has the smaller of the two types") {
  auto before = tensor::cuda::launch_statistics();
  Tensor wide = Tensor::empty({1000}, DType::f64, kFirst), narrow = Tensor::empty({1000}, DType::u8, kFirst);
  wide.copy_(Tensor::full({1000}, 2, DType::f16));
  narrow.copy_(Tensor::full({1000}, 2, DType::i64));
  auto after = tensor::cuda::launch_statistics();
  CHECK(after["upload"].bytes - before["upload"].bytes == 2000 + 1000);
  CHECK(wide.to_vector<double>() == std::vector<double>(1000, 2));
  CHECK(narrow.to_vector<uint8_t>() == std::vector<uint8_t>(1000, 2));
}

TEST_CASE("copies of a tensor onto itself") {
  Tensor x = Tensor::arange(10, DType::f32, kFirst);
  x.copy_(x);
  x.slice(0, 1, 10).copy_(x.slice(0, 0, 9));  // its source is overwritten
  CHECK(x.to_vector<float>() == std::vector<float>{0, 0, 1, 2, 3, 4, 5, 6, 7, 8});
  Tensor square = Tensor::arange(4, DType::f32, kFirst).view({2, 2});
  square.copy_(square.t());
  CHECK(square.to_vector<float>() == std::vector<float>{0, 2, 1, 3});
}

TEST_CASE("copies of nothing, and of one number") {
  for (const Shape& shape : {Shape{0}, Shape{3, 0, 2}, Shape{}, Shape{1, 1}}) {
    const Tensor x = numbers(shape, DType::f32, false);
    for (const DType type : kTypes) {
      const Tensor there = x.to(kFirst).to(type);
      CHECK(there.shape() == shape);
      CHECK(first_difference(there, x.to(type)) == -1);
      CHECK(first_difference(there.to(tests::second_device()), x.to(type)) == -1);
    }
  }
}

TEST_CASE("fill is the CPU's for every type and layout") {
  for (const DType type : kTypes) {
    for (const double value : {0.0, 1.0, 3.0, 100.25}) {
      for (const View& view : kViews) {
        Tensor wanted_base = Tensor::full(view.base(kShape), 9, type);
        Tensor base = Tensor::full(view.base(kShape), 9, type, kFirst);
        Tensor wanted = view.of(wanted_base), out = view.of(base);
        wanted.fill_(value);
        out.fill_(value);
        CAPTURE(tensor::format("{} {} {}", name_of(type), value, view.name));
        REQUIRE(first_difference(base, wanted_base) == -1);
      }
    }
  }
  for (const double value : {-0.0, 1e-45, 65520.0, double{INFINITY}, double{NAN}})
    for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16})
      for (const int64_t n : {0, 1, 31, 1023, 2049})
        CHECK(first_difference(Tensor::full({n}, value, type, kFirst), Tensor::full({n}, value, type)) == -1);
}

TEST_CASE("what may not be written to is refused on a device, too") {
  Tensor expanded = Tensor::zeros({1}, DType::f32, kFirst).expand({3});
  for (const Device& from : {kHost, kFirst, tests::second_device()})
    CHECK(tests::refused([&] { expanded.copy_(Tensor::zeros({3}, DType::f32, from)); }).find("is expanded") !=
          std::string::npos);
  CHECK(tests::refused([&] { expanded.fill_(1); }).find("is expanded") != std::string::npos);
}
