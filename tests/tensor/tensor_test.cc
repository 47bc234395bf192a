// Views, copies, storage, the allocator and the random numbers.
#include "tensor/tensor.h"

#include <bit>
#include <limits>
#include <numeric>
#include <thread>
#include <utility>

#include "tensor/allocator.h"
#include "tensor/kernels.h"
#include "tests/refused.h"
#include "tests/tensor/reference.h"

using namespace tests;
using tensor::Device;

TEST_CASE("views share memory and know their elements") {
  Tensor x = Tensor::arange(24).view({2, 3, 4});
  CHECK(values(x.permute({2, 0, 1}).select(0, 1)) == std::vector<double>{1, 5, 9, 13, 17, 21});
  CHECK(values(x.slice(2, 1, 4, 2).select(0, 1).select(0, 2)) == std::vector<double>{21, 23});
  CHECK(x.transpose(0, 2).shares_storage(x));
  CHECK_FALSE(x.t().is_contiguous());
  CHECK(values(x.t().reshape({6, 4})) == values(x.t().contiguous().view({6, 4})));
  CHECK(x.view({-1, 6}).shape() == Shape{4, 6});
  CHECK(x.unsqueeze(-1).squeeze(-1).shape() == x.shape());
  CHECK(x.flatten(1).shape() == Shape{2, 12});
  Tensor row = Tensor::arange(3).expand({2, 3});
  CHECK(values(row) == std::vector<double>{0, 1, 2, 0, 1, 2});
  const uint64_t version = x.version();
  x.select(0, 0).fill_(7);
  CHECK(x.version() > version);  // shared by views
  CHECK(x.select(0, 0).select(0, 0).select(0, 0).item() == 7);
}

TEST_CASE("a tensor's bits as those of another type") {
  const Tensor x = Tensor::from<double>({1, -2, 0.5}, {3}), bits = x.bits_as(DType::i64);
  CHECK(bits.shares_storage(x));
  CHECK(bits.to_vector<int64_t>()[1] == std::bit_cast<int64_t>(-2.0));
  CHECK(bits.slice(0, 2, 3).bits_as(DType::f64).item() == 0.5);
  CHECK_THROWS_WITH_AS(x.bits_as(DType::f32),
                       "bits_as: (3) f64 as f32: another type of the same size is needed, not bool",
                       tensor::Error);
  CHECK_THROWS_WITH_AS(Tensor::zeros({1}, DType::u8).bits_as(DType::boolean),
                       "bits_as: (1) u8 as bool: another type of the same size is needed, not bool",
                       tensor::Error);
}

TEST_CASE("pieces are copied one behind the other") {
  Tensor out = Tensor::zeros({2, 3});
  const Tensor a = Tensor::from<float>({1, 2}, {2}), b = Tensor::from<float>({3, 4, 5}, {1, 3});
  tensor::kernels::copy_pieces(out, {a, Tensor::empty({0}), b, a.slice(0, 0, 1)});
  CHECK(values(out) == std::vector<double>{1, 2, 3, 4, 5, 1});
  const auto refused = [&](const std::vector<Tensor>& pieces, Tensor to,
                           tensor::ErrorKind kind = tensor::ErrorKind::argument) {
    return tests::refused([&] { tensor::kernels::copy_pieces(to, pieces); }, kind);
  };
  CHECK(refused({a, b}, out, tensor::ErrorKind::shape) == "copy_pieces: 5 numbers into (2, 3) f32");
  CHECK(refused({a, b, Tensor()}, out) == "copy_pieces: an undefined piece");
  CHECK(refused({a.to(DType::f64)}, out, tensor::ErrorKind::dtype) == "copy_pieces: (2) f64 into (2, 3) f32");
  CHECK(refused({a}, out.t()) == "copy_pieces: into (3, 2) f32, which is not contiguous");
  CHECK(refused({out.t()}, out) ==
        "copy_pieces: (3, 2) f32 is not contiguous, or shares memory with what it is copied to");
  CHECK(refused({out}, out) ==
        "copy_pieces: (2, 3) f32 is not contiguous, or shares memory with what it is copied to");
}

TEST_CASE("wrong views are refused with a sentence") {
  const Tensor x = Tensor::zeros({2, 3});
  CHECK_THROWS_WITH_AS(x.t().view({6}), doctest::Contains("use reshape"), tensor::Error);
  CHECK_THROWS_WITH_AS(x.view({4, 2}), "view: 6 elements of (2, 3) do not fit (4, 2)", tensor::Error);
  CHECK_THROWS_AS(x.slice(1, 2, 5), tensor::Error);
  CHECK_THROWS_AS(x.select(0, 2), tensor::Error);
  CHECK_THROWS_AS(x.expand({2, 4}), tensor::Error);
  CHECK_THROWS_AS(x.squeeze(0), tensor::Error);
  CHECK_THROWS_AS(x.permute({0, 0}), tensor::Error);
  CHECK_THROWS_AS(Tensor::empty({int64_t{1} << 40, int64_t{1} << 40}), tensor::Error);
  CHECK_THROWS_AS(Tensor::empty({-1}), tensor::Error);
  CHECK_THROWS_WITH_AS(Tensor::zeros({1}, DType::f32, Device::cuda()),
                       doctest::Contains("built without CUDA"), tensor::Error);
  CHECK_THROWS_AS(x.data<double>(), tensor::Error);
  CHECK_THROWS_AS(Tensor().data<float>(), tensor::Error);
}

TEST_CASE("devices have names") {
  for (const Device& device : {Device::cpu(), Device::cuda(), Device::cuda(1), Device::cuda(12)})
    CHECK(tensor::parse_device(to_string(device)) == device);
  CHECK(tensor::parse_device("cuda") == Device::cuda(0));
  for (const char* text :
       {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "cuda 1", "cuda:99999999999"})
    CHECK_THROWS_WITH_AS(tensor::parse_device(text),
                         (std::string("'") + text + "' is no device: cpu, cuda, or cuda:1 and so on").c_str(),
                         tensor::Error);
}

TEST_CASE("copies convert, broadcast and may overlap") {
  const Tensor x = Tensor::from(std::vector<double>{-1.5, 0, 2.7, 300}, {4});
  CHECK(x.to(DType::i32).to_vector<int32_t>() == std::vector<int32_t>{-1, 0, 2, 300});
  CHECK(values(x.to(DType::boolean)) == std::vector<double>{1, 0, 1, 1});
  CHECK(x.to(DType::f16).to(DType::f64).to_vector<double>()[3] == 300);
  Tensor out = Tensor::zeros({2, 4}, DType::f64);
  out.copy_(x);
  CHECK(values(out.select(0, 1)) == values(x));
  Tensor shifted = Tensor::arange(5);
  shifted.slice(0, 1, 5).copy_(shifted.slice(0, 0, 4));
  CHECK(values(shifted) == std::vector<double>{0, 0, 1, 2, 3});
}

TEST_CASE("whole numbers print as whole numbers, and item<T>() gives them exactly") {
  const int64_t greatest = std::numeric_limits<int64_t>::max(), odd = (int64_t{1} << 53) + 1;
  const Tensor x = Tensor::from(std::vector<int64_t>{525076, 123456789012345, -greatest - 1, odd}, {4});
  CHECK(tensor::to_string(x) == "[525076, 123456789012345, -9223372036854775808, 9007199254740993] (4) i64");
  CHECK(tensor::to_string(Tensor::from(std::vector<int32_t>{-2147483647, 1234567}, {2})) ==
        "[-2147483647, 1234567] (2) i32");
  CHECK(tensor::to_string(Tensor::full({}, 200, DType::u8)) == "200 () u8");
  CHECK(tensor::to_string(Tensor::full({1}, 1, DType::boolean)) == "[1] (1) bool");
  CHECK(tensor::to_string(Tensor::full({1}, 0.123456789)) == "[0.12346] (1) f32");  // as before
  CHECK(x.select(0, 3).item<int64_t>() == odd);
  CHECK(x.select(0, 3).item() == 0x1p53);
  check_error(ErrorKind::shape, {"item", "(4)"}, [&] { x.item<int64_t>(); });
  check_error(ErrorKind::dtype, {"i64", "f32"}, [&] { x.select(0, 3).item<float>(); });
  // Copies do not go through a double.
  CHECK(x.slice(0, 2, 4).clone().select(0, 1).item<int64_t>() == odd);
  CHECK(Tensor::from(std::vector<int32_t>{-7}, {}).to(DType::i64).item<int64_t>() == -7);
}

TEST_CASE("16-bit floats round to nearest even and keep what is special") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    tensor::f16 h;
    h.bits = static_cast<uint16_t>(bits);
    const float f = static_cast<float>(h);
    if (f != f)
      CHECK(static_cast<float>(tensor::f16(f)) != f);
    else
      CHECK(tensor::f16(f).bits == bits);
  }
  CHECK(tensor::f16(65519.0f).bits == 0x7bff);
  CHECK(tensor::f16(65520.0f).bits == 0x7c00);
  CHECK(tensor::f16(1.0f + 0x1p-11f).bits == 0x3c00);  // a tie goes to even
  CHECK(tensor::f16(1.0f + 3 * 0x1p-11f).bits == 0x3c02);
  CHECK(tensor::f16(0x1p-25f).bits == 0);
  CHECK(tensor::f16(0x1.8p-25f).bits == 1);
  CHECK(tensor::bf16(1.0f + 0x1p-8f).bits == 0x3f80);
  CHECK(tensor::bf16(1.0f + 3 * 0x1p-8f).bits == 0x3f82);
}

TEST_CASE("freed memory is used again and is not counted") {
  const auto before = tensor::allocator_statistics();
  const void* first = nullptr;
  for (int i = 0; i < 100; ++i) {
    const Tensor x = Tensor::empty({1000, 77});
    if (first == nullptr) first = x.raw();
    CHECK(x.raw() == first);
    CHECK(reinterpret_cast<uintptr_t>(x.raw()) % 64 == 0);
  }
  CHECK(tensor::allocator_statistics().bytes_in_use == before.bytes_in_use);
  CHECK(tensor::allocator_statistics().blocks_in_use == before.blocks_in_use);
}

TEST_CASE("freed blocks of other sizes go back before all gets much larger than was ever in use") {
  const auto kept = [] {
    const tensor::AllocatorStatistics s = tensor::allocator_statistics();
    return s.bytes_in_use + s.bytes_cached;
  };
  constexpr int64_t kSpare = int64_t{16} << 20;
  for (int64_t mib = 40; mib < 120; ++mib) {
    const Tensor x = Tensor::empty({mib << 18});
    const int64_t peak = tensor::allocator_statistics().peak_bytes;
    CHECK(kept() <= peak + std::max(peak / 32, kSpare));
  }
  // What fits stays, so that the next step finds it.
  const auto before = tensor::allocator_statistics();
  const void* first = nullptr;
  for (int i = 0; i < 3; ++i) {
    const Tensor x = Tensor::empty({int64_t{40} << 18}), y = Tensor::empty({int64_t{20} << 18});
    if (i == 1) first = x.raw();
    if (i == 2) CHECK(x.raw() == first);
  }
  CHECK(tensor::allocator_statistics().peak_bytes == before.peak_bytes);
}

TEST_CASE(
    "with large pages, blocks are cut from larger ones, and those outlive the guard while one is in use") {
  tensor::empty_cache();
  const auto before = tensor::allocator_statistics();
  std::vector<Tensor> kept;
  {
    const tensor::LargePages guard;
    for (int i = 0; i < 12; ++i) {  // more than one of 8 MiB holds
      kept.push_back(Tensor::empty({1 << 18}));
      kept.back().fill_(i);
    }
    const tensor::LargePages inner;
    CHECK(Tensor::empty({int64_t{1} << 20}).defined());  // large enough by itself
    CHECK(Tensor::empty({0}).numel() == 0);
  }
  CHECK(kept[1].raw() - kept[0].raw() == 1 << 20);
  for (int i = 0; i < 12; ++i) {
    const Tensor& t = kept[static_cast<size_t>(i)];
    CHECK(reinterpret_cast<uintptr_t>(t.raw()) % 64 == 0);
    CHECK(t.data<float>()[0] == static_cast<float>(i));
    CHECK(t.data<float>()[(1 << 18) - 1] == static_cast<float>(i));
  }
  // Given back on another thread, they are handed out again as any block is, and go with the others.
  const std::byte* last = kept.back().raw();
  std::thread([pieces = std::exchange(kept, {})] {}).join();
  CHECK(tensor::allocator_statistics().blocks_in_use == before.blocks_in_use);
  CHECK(std::as_const(kept.emplace_back(Tensor::empty({1 << 18}))).raw() == last);
  tensor::empty_cache();
  kept.back().fill_(1);
  kept.clear();
  tensor::empty_cache();
  CHECK(tensor::allocator_statistics().bytes_cached == 0);
  CHECK(tensor::allocator_statistics().bytes_in_use == before.bytes_in_use);
}

TEST_CASE("Philox gives the published numbers") {
  // Known answers of Random123: kat_vectors, philox4x32-10.
  CHECK(tensor::philox(0, 0) == tensor::PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(tensor::philox(UINT64_MAX, UINT64_MAX, UINT64_MAX) ==
        tensor::PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("random numbers: range, moments, saved state, shuffles") {
  tensor::Generator g(9);
  Tensor u = Tensor::empty({20000}, DType::f64), n = Tensor::empty({20000}, DType::f64);
  fill_uniform(u, -1, 3, g);
  fill_normal(n, 2, 0.5, g);
  const auto mean = [](const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0) / 20000;
  };
  const auto values_u = values(u), values_n = values(n);
  CHECK(*std::min_element(values_u.begin(), values_u.end()) >= -1);
  CHECK(*std::max_element(values_u.begin(), values_u.end()) < 3);
  CHECK(std::fabs(mean(values_u) - 1) < 0.05);
  CHECK(std::fabs(mean(values_n) - 2) < 0.02);
  tensor::Generator again(0);
  again.set_state(g.seed(), g.offset());
  CHECK(again.uniform() == g.uniform());
  std::vector<int> order(50);
  std::iota(order.begin(), order.end(), 0);
  g.shuffle(order);
  std::vector<int> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted != order);
  for (int i = 0; i < 50; ++i) CHECK(sorted[static_cast<size_t>(i)] == i);
  CHECK_THROWS_AS(g.below(0), tensor::Error);
}
