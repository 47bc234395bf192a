#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/refused.h"

using namespace tests;
using tensor::CrossEntropyOptions;
using tensor::Device;
using tensor::DType;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

// The CPU sums f32 in f64, a device in f32; 16-bit results are one step apart at most.
double band(DType type) {
  return type == DType::f32 ? 2e-6 : type == DType::f64 ? 1e-14 : type == DType::f16 ? 0x1p-10 : 0x1p-7;
}

Tensor losses_of(const Tensor& logits, const Tensor& targets, const Tensor& weight,
                 const CrossEntropyOptions& options) {
  Tensor losses = Tensor::empty({logits.size(0)}, logits.dtype(), logits.device());
  kernels::cross_entropy(losses, logits, targets, weight, options);
  return losses;
}

Tensor gradient_of(const Tensor& logits, const Tensor& targets, const Tensor& weight, const Tensor& gradients,
                   const CrossEntropyOptions& options, bool in_place = false) {
  Tensor d = in_place ? logits.clone() : Tensor::empty(logits.shape(), logits.dtype(), logits.device());
  kernels::cross_entropy_backward(d, in_place ? d : logits, targets, weight, gradients, options);
  return d;
}

void check_rows(const Twins& logits, const Twins& targets, const Twins& weight, const Twins& gradients) {
  const DType type = logits.cpu.dtype();
  for (const double smoothing : {0.0, 0.1})
    for (const bool weighted : {false, true}) {
      const CrossEntropyOptions options{.ignore_index = 2, .smoothing = smoothing};
      const Tensor w = weighted ? weight.cpu : Tensor(), w_there = weighted ? weight.cuda : Tensor();
      CHECK_MESSAGE(worst_error(losses_of(logits.cuda, targets.cuda, w_there, options),
                                losses_of(logits.cpu, targets.cpu, w, options), 1) <= band(type),
                    logits.text(), " ", smoothing, " ", weighted);
      const Tensor want = gradient_of(logits.cpu, targets.cpu, w, gradients.cpu, options);
      for (const bool in_place : {false, true})
        CHECK_MESSAGE(
            worst_error(gradient_of(logits.cuda, targets.cuda, w_there, gradients.cuda, options, in_place),
                        want, 1) <= band(type),
            logits.text(), " ", smoothing, " ", weighted, " ", in_place);
    }
}

}  // namespace

TEST_CASE("cross-entropy of 16-bit logits beside f32 is that of the widened ones, the gradient rounded") {
  for (const DType type : {DType::f16, DType::bf16})
    for (const int64_t classes : {7, 40, 1025, 2048}) {
      const Device there = Device::cuda();
      const Tensor logits = made(1, {5, classes}, -8, 8).to(type).to(there), wide = logits.to(DType::f32),
                   targets = Tensor::from<int64_t>({3, 2, 0, 6, 1}, {5}, there),
                   weight = made(3, {classes}, 0.5, 2).to(DType::f32).to(there),
                   rows = made(4, {5}, -2, 2).to(DType::f32).to(there);
      const CrossEntropyOptions options{.ignore_index = 2, .smoothing = 0.1};
      Tensor losses = Tensor::empty({5}, DType::f32, there);
      kernels::cross_entropy(losses, logits, targets, weight, options);
      CHECK(worst_error(losses, losses_of(wide, targets, weight, options), 1) <= band(DType::f32));
      const Tensor want = gradient_of(wide, targets, weight, rows, options).to(type);
      for (const bool in_place : {false, true})
        CHECK(worst_error(gradient_of(logits, targets, weight, rows, options, in_place), want, 1) <=
              band(type));
    }
}

TEST_CASE("cross-entropy and its gradient as on the CPU, at every width around warps, blocks and packs") {
  for (const DType type : kTypes)
    for (const int64_t classes : {1, 5, 31, 32, 33, 128, 257, 1023, 1024, 1025, 2049})
      for (const int64_t rows : {1, 9}) {
        const double most = static_cast<double>(classes);
        check_rows(Twins(made(1, {rows, classes}, -8, 8).to(type)),
                   Twins(made(2, {rows}, 0, most).to(DType::i64)), Twins(made(3, {classes}, 0.5, 2).to(type)),
                   Twins(made(4, {rows}, -2, 2).to(type)));
      }
}

TEST_CASE("cross-entropy: ignored rows, other layouts, words that are shut out, large logits, and nothing") {
  const Twins targets("every other", Tensor::from<int64_t>({4, 0, -100, 0, 2, 0, 7, 0, 2, 0}, {10}),
                      [](const Tensor& t) { return t.slice(0, 0, 10, 2); });
  const auto every_other = [](const Tensor& t) { return t.slice(0, 0, 2 * t.size(0) / 2, 2); };
  const Twins weight("every other", made(3, {18}, 0.5, 2).to(DType::f32), every_other),
      gradients("every other", made(4, {10}, -2, 2).to(DType::f32), every_other);
  CrossEntropyOptions options;
  Tensor logits = made(1, {5, 9}, -2, 2).to(DType::f32);
  for (const double smoothing : {0.0, 0.2}) {
    options.smoothing = smoothing;
    for (const double shift : {0.0, 1e4}) {
      logits = made(1, {5, 9}, shift - 2, shift + 2).to(DType::f32);
      if (smoothing == 0) logits.slice(1, 5, 6).fill_(-kInf);
      const Twins x("one element in", made(5, {46}).to(DType::f32), [&](Tensor t) {
        t = t.slice(0, 1, 46).view({5, 9});
        t.copy_(logits.to(t.device()));
        return t;
      });
      CHECK(worst_error(losses_of(x.cuda, targets.cuda, weight.cuda, options),
                        losses_of(x.cpu, targets.cpu, weight.cpu, options), 1) <= 2e-6);
      CHECK(worst_error(gradient_of(x.cuda, targets.cuda, weight.cuda, gradients.cuda, options),
                        gradient_of(x.cpu, targets.cpu, weight.cpu, gradients.cpu, options), 1) <= 2e-6);
    }
  }
  const Tensor none = Tensor::empty({0, 4}, DType::f32, Device::cuda()),
               no_targets = Tensor::empty({0}, DType::i64, Device::cuda());
  CHECK(losses_of(none, no_targets, Tensor(), {}).numel() == 0);
}

TEST_CASE("cross-entropy: a target that there is not is said at the next wait") {
  const Tensor logits = Tensor::zeros({3, 4}, DType::f32, Device::cuda()),
               targets = Tensor::from<int64_t>({1, 4, -7}, {3}, Device::cuda()),
               ones = Tensor::full({3}, 1, DType::f32, Device::cuda());
  const std::string sentence = "cross_entropy: target 4 of row 1 is outside the 4 classes of logits (3, 4)";
  const auto wait = [] { tensor::cuda::runtime_of(Device::cuda(), "test").wait(0); };
  const Tensor losses = losses_of(logits, targets, Tensor(), {});
  CHECK(refused(wait, tensor::ErrorKind::index) == sentence);
  CHECK(numbers(losses)[2] == 0);
  const Tensor d = gradient_of(logits, targets, Tensor(), ones, {});
  CHECK(refused(wait, tensor::ErrorKind::index) == sentence);
  CHECK(numbers(d)[4] == 0);
}

TEST_CASE(
    "cross-entropy is one launch, reads and writes what it says, and gives the same bits in any order") {
  const Device there = Device::cuda();
  const Tensor logits = made(1, {10, 1200}, -8, 8).to(DType::f32).to(there),
               targets = made(2, {10}, 0, 1200).to(DType::i64).to(there),
               gradients = made(3, {10}).to(DType::f32).to(there);
  const double n = 12000;
  expect_launches(
      "cross_entropy", {1, 7 * n, 4 * n + 120}, [&] { losses_of(logits, targets, Tensor(), {}); }, 2.5);
  expect_launches(
      "cross_entropy_backward", {1, 10 * n, 8 * n + 120},
      [&] { gradient_of(logits, targets, Tensor(), gradients, {}); },
      2.7);  // each thread asks for its row's numbers
  expect_same_in_any_order([&] { return losses_of(logits, targets, Tensor(), {.smoothing = 0.1}); });
  expect_same_in_any_order([&] { return gradient_of(logits, targets, Tensor(), gradients, {}); });
}
