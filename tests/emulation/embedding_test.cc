#include <doctest/doctest.h>

#include <vector>

#include "tensor/fetched.h"
#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

const Device kThere = Device::cuda();

Tensor rows_of(const Tensor& weight, const Tensor& ids) {
  Shape shape = ids.shape();
  shape.push_back(weight.size(1));
  Tensor out = Tensor::empty(shape, weight.dtype(), weight.device());
  kernels::embedding(out, weight, ids);
  return out;
}

Tensor gradient_of(const Tensor& dout, const Tensor& ids, int64_t words) {
  Tensor dweight = made(50, {words, dout.shape().back()}).to(dout.dtype()).to(dout.device());
  kernels::embedding_backward(dweight, dout, ids);
  return dweight;
}

// (n) numbers of [0, words), some of them often.
Tensor made_ids(int64_t n, int64_t words, uint32_t seed = 1) {
  return made(seed, {n}, 0, static_cast<double>(words)).to(DType::i64);
}

Tensor ids_there(const std::vector<int64_t>& ids) {
  return Tensor::from<int64_t>(ids, {static_cast<int64_t>(ids.size())}, kThere);
}

}  // namespace

TEST_CASE("embedding as on the CPU: every type, width and layout") {
  const Twins ids(made_ids(24, 11).view({3, 8}));
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64, DType::u8})
    for (const int64_t width : {1, 3, 4, 8, 16, 33})
      for (const Twins& weight : twins({11, width}, type, 2, 0, 100)) {
        CHECK(same_values(rows_of(weight.cuda, ids.cuda), rows_of(weight.cpu, ids.cpu)));
        CHECK(same_values(rows_of(weight.cuda, ids.cuda.t()), rows_of(weight.cpu, ids.cpu.t())));
      }
  CHECK(rows_of(Tensor::zeros({3, 4}, DType::f32, kThere), Tensor::empty({0}, DType::i64, kThere)).numel() ==
        0);
}

TEST_CASE("embedding's gradient as on the CPU: adds in the order of ids, however often one comes") {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    const double band = type == DType::f64 ? 1e-14 : type == DType::f32 ? 4e-6 : 0x1p-7;
    for (const int64_t n : {1, 31, 32, 33, 100, 300})
      for (const int64_t words : {1, 7, 500})
        for (const int64_t width : {5, 130}) {
          // The CPU adds up to 32 numbers in f32, a device all in f64: what f64 gives is right for both.
          const Twins ids(made_ids(n, words)), dout(made(3, {n, width}).to(type));
          const Tensor got = gradient_of(dout.cuda, ids.cuda, words),
                       want = gradient_of(dout.cpu, ids.cpu, words),
                       exact = gradient_of(dout.cpu.to(DType::f64), ids.cpu, words);
          CHECK_MESSAGE(worst_error(got, want, 1) <= band, n, " ", words, " ", dout.text());
          if (type == DType::f32) CHECK(worst_error(got.to(DType::f64), exact, 1) <= 1.2e-7);
        }
    const Twins ids(made_ids(12, 5).view({3, 4}));
    for (const Twins& dout : twins({3, 4, 9}, type, 4))
      CHECK(worst_error(gradient_of(dout.cuda, ids.cuda, 5), gradient_of(dout.cpu, ids.cpu, 5), 1) <= band);
  }
  const Tensor dout = made(5, {300, 130}).to(DType::f32).to(kThere), ids = made_ids(300, 7).to(kThere);
  expect_same_in_any_order([&] { return gradient_of(dout, ids, 7); });
}

TEST_CASE("stored_rows as on the CPU") {
  const Twins ids(made_ids(9, 11));
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::u8})
    for (const Twins& weight : twins({11, 33}, type, 2, 0, 255)) {
      const Twins scales(made(3, {11}, 0.001, 0.1).to(DType::f16));
      const bool narrow = type == DType::u8;
      Tensor here = Tensor::zeros({9, 40}), there = here.to(kThere);
      Tensor out_here = here.slice(1, 2, 35), out_there = there.slice(1, 2, 35);
      kernels::stored_rows(out_here, weight.cpu, narrow ? scales.cpu : Tensor(), ids.cpu);
      kernels::stored_rows(out_there, weight.cuda, narrow ? scales.cuda : Tensor(), ids.cuda);
      CHECK(same_values(there, here));
    }
}

TEST_CASE("a bad index is said at the next wait, once, with the CPU's sentence") {
  const Tensor weight = Tensor::full({5, 4}, 2).to(kThere);
  const auto wait = [] { tensor::cuda::runtime_of(kThere, "test").wait(0); };
  const std::string sentence =
      "embedding: id 7 at position 2 of ids (5) is outside the 5 rows of weight (5, 4)";
  const std::vector<int64_t> bad = {0, 4, 7, -1, 9};
  CHECK(refused([&] { rows_of(weight.to(Device::cpu()), ids_there(bad).to(Device::cpu())); },
                ErrorKind::index) == sentence);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    set_order(seed);
    Tensor rows = rows_of(weight, ids_there(bad));
    CHECK(refused(wait, ErrorKind::index) == sentence);
    CHECK_NOTHROW(wait());
    // The others' rows are there.
    CHECK(numbers(rows).at(4) == 2);
    CHECK(numbers(rows).at(8) == 0);
    // By whoever waits.
    rows_of(weight, ids_there(bad));
    CHECK(refused([&] { weight.to_vector<float>(); }, ErrorKind::index) == sentence);
    rows_of(weight, ids_there(bad));
    tensor::Fetched fetched(weight);
    CHECK(refused([&] { fetched.take(); }, ErrorKind::index) == sentence);
    CHECK_NOTHROW(wait());
  }
  Tensor dweight = Tensor::zeros({5, 4}, DType::f32, kThere);
  kernels::embedding_backward(dweight, Tensor::full({5, 4}, 1, DType::f32, kThere), ids_there(bad));
  CHECK(refused(wait, ErrorKind::index) == sentence);
  CHECK(numbers(dweight.select(1, 0)) == std::vector<double>{1, 0, 0, 0, 1});
  Tensor out = Tensor::empty({1, 4}, DType::f32, kThere);
  kernels::stored_rows(out, weight, Tensor(), ids_there({5}));
  CHECK(refused(wait, ErrorKind::index) == "stored_rows: row 5 of 5");
}

TEST_CASE("of several launches with bad indices the first is said, and fetches before it know of none") {
  const Tensor weight = Tensor::full({5, 4}, 2).to(kThere), small = Tensor::full({3, 2}, 1).to(kThere);
  rows_of(weight, ids_there({1, 2}));
  tensor::Fetched before(weight);
  rows_of(small, ids_there({2, 1, 3}));
  tensor::Fetched first(weight);
  rows_of(weight, ids_there({5}));
  tensor::Fetched second(weight);
  CHECK_NOTHROW(before.take());
  CHECK(refused([&] { second.take(); }, ErrorKind::index) ==
        "embedding: id 3 at position 2 of ids (3) is outside the 3 rows of weight (3, 2)");
  CHECK_NOTHROW(first.take());
  // Afterwards others are found again.
  rows_of(small, ids_there({9}));
  CHECK(refused([&] { small.to_vector<float>(); }, ErrorKind::index) ==
        "embedding: id 9 at position 0 of ids (1) is outside the 3 rows of weight (3, 2)");
  // A launch so long ago that its text is gone.
  rows_of(small, ids_there({9}));
  for (int i = 0; i < 1024; ++i) rows_of(small, ids_there({1}));
  CHECK(refused([&] { small.to_vector<float>(); }, ErrorKind::index) ==
        "cuda:0: a kernel has met index 9 at position 0, which is out of range");
}

TEST_CASE("embedding is one launch, and reads and writes what it says") {
  const Tensor weight = made(1, {40, 130}).to(DType::f32).to(kThere),
               ids = Tensor::arange(40, DType::i64, kThere);
  const double n = 40 * 130;
  expect_launches(
      "embedding", {1, 0, 8 * n + 8 * 40}, [&] { rows_of(weight, ids); }, 130);
  Tensor dweight = Tensor::zeros({40, 130}, DType::f32, kThere);
  expect_launches(
      "embedding_backward", {1, n, 12 * n + 8 * 40},
      [&] { kernels::embedding_backward(dweight, weight, ids); }, 10);
}
