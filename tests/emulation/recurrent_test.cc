// Dropout and the LSTM cell.
#include <doctest/doctest.h>

#include <vector>

#include "autograd/autocast.h"
#include "autograd/ops.h"
#include "tensor/cuda/driver/launches.h"
#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"

using namespace tests;
using tensor::Device;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

constexpr DType kTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

// The functions of processors and devices are a few units in the last place apart.
double band(DType type) {
  return type == DType::f32 ? 2e-6 : type == DType::f64 ? 1e-14 : type == DType::f16 ? 0x1p-10 : 0x1p-7;
}

Tensor dropped(const Tensor& x, double p, uint64_t seed, uint64_t offset) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::dropout(out, x, {p, seed, offset});
  return out;
}

// Rows of wider ones.
Tensor rows_like(const Tensor& x, int64_t columns) {
  return Tensor::zeros({x.size(0), columns + 5}, x.dtype(), x.device()).slice(1, 2, 2 + columns);
}

struct Cell {
  Tensor h, c, gates, h_operand = {};
};

// `operand`: the type of one, or f64: none.
Cell cell_of(const Tensor& pre, const Tensor& c_prev, DType operand = DType::f64) {
  const int64_t hidden = c_prev.size(1);
  Cell cell{rows_like(c_prev, hidden), rows_like(c_prev, hidden), rows_like(c_prev, 4 * hidden)};
  if (is_half(operand)) cell.h_operand = rows_like(c_prev.to(operand), hidden);
  kernels::lstm_cell({cell.h, cell.c, cell.gates, pre, c_prev, cell.h_operand});
  return cell;
}

// dpre and dc_prev, in place or not.
std::pair<Tensor, Tensor> gradients_of(const Cell& cell, const Tensor& c_prev, const Tensor& dh,
                                       const Tensor& dc, bool in_place) {
  tensor::LstmCellBackward a;
  a.dh = dh, a.gates = cell.gates.clone(), a.c = cell.c, a.c_prev = c_prev, a.dc = dc.clone();
  a.dpre = in_place ? a.gates : rows_like(dh, 4 * dh.size(1));
  a.dc_prev = in_place ? a.dc : rows_like(dh, dh.size(1));
  kernels::lstm_cell_backward(a);
  return {a.dpre, a.dc_prev};
}

}  // namespace

TEST_CASE("dropout has the CPU's bits") {
  for (const DType type : kTypes)
    for (const int64_t n : {1, 2, 3, 4, 5, 8, 63, 64, 65, 1023, 1024, 1025, 3001})
      for (const double p : {0.0, 0.3, 0.5, 1.0}) {
        const Twins x(made(1, {n}).to(type)), shifted("one element in", made(1, {n + 1}).to(type),
                                                      [&](const Tensor&t) { return t.slice(0, 1, n + 1); });
        for (const uint64_t offset : {uint64_t{0}, uint64_t{7}, (uint64_t{1} << 32) - 2, uint64_t{5} << 33})
          for (const Twins* t : {&x, &shifted})
            CHECK(same_values(dropped(t->cuda, p, 0x123456789abcdef0u, offset),
                              dropped(t->cpu, p, 0x123456789abcdef0u, offset)));
      }
  Twins in_place(made(2, {100}).to(DType::f32));
  const Tensor want = dropped(in_place.cpu, 0.5, 3, 4);
  kernels::dropout(in_place.cuda, in_place.cuda, {0.5, 3, 4});
  CHECK(same_values(in_place.cuda, want));
  CHECK(dropped(Tensor::empty({0}, DType::f32, Device::cuda()), 0.5, 1, 0).numel() == 0);
}

TEST_CASE("the LSTM cell and its gradients as on the CPU, rows apart and in place") {
  for (const DType type : kTypes)
    for (const int64_t n : {1, 3})
      for (const int64_t hidden : {1, 5, 255, 256, 257, 600})
        for (const double size : {2.0, 60.0}) {  // saturated, too
          const auto rows = [&](uint32_t seed, int64_t columns, double most) {
            return Twins("rows apart", made(seed, {n, columns + 3}, -most, most).to(type),
                         [&](const Tensor& t) { return t.slice(1, 1, 1 + columns); });
          };
          const Twins pre = rows(1, 4 * hidden, size), c_prev = rows(2, hidden, 2), dh = rows(3, hidden, 1),
                      dc = rows(4, hidden, 1);
          const Cell got = cell_of(pre.cuda, c_prev.cuda), want = cell_of(pre.cpu, c_prev.cpu);
          CHECK(worst_error(got.h, want.h, 1) <= band(type));
          CHECK(worst_error(got.c, want.c, 1) <= band(type));
          CHECK(worst_error(got.gates, want.gates, 1) <= band(type));
          const Cell there{want.h.to(Device::cuda()), want.c.to(Device::cuda()),
                           want.gates.to(Device::cuda())};
          for (const bool in_place : {false, true}) {
            const auto [dpre, dc_prev] = gradients_of(there, c_prev.cuda, dh.cuda, dc.cuda, in_place);
            const auto [want_dpre, want_dc] = gradients_of(want, c_prev.cpu, dh.cpu, dc.cpu, in_place);
            CHECK(worst_error(dpre, want_dpre, 1) <= band(type));
            CHECK(worst_error(dc_prev, want_dc, 1) <= band(type));
          }
        }
  CHECK(cell_of(Tensor::empty({0, 8}, DType::f32, Device::cuda()),
                Tensor::empty({0, 2}, DType::f32, Device::cuda()))
            .h.numel() == 0);
}

TEST_CASE("the LSTM cell's operands in 16 bits are what it writes in f32, rounded") {
  for (const DType type : {DType::f16, DType::bf16}) {
    const Tensor pre = made(1, {3, 4 * 300}, -2, 2).to(DType::f32).to(Device::cuda()),
                 c_prev = made(2, {3, 300}).to(DType::f32).to(Device::cuda());
    const Cell cell = cell_of(pre, c_prev, type);
    CHECK(same_values(cell.h_operand, cell.h.to(type)));
    CHECK(same_values(cell.h, cell_of(pre, c_prev).h));
    tensor::LstmCellBackward a;
    a.dpre = a.gates = cell.gates, a.dpre_operand = rows_like(pre.to(type), 4 * 300);
    a.dh = c_prev, a.dc = c_prev.clone(), a.dc_prev = a.dc, a.c = cell.c, a.c_prev = c_prev;
    kernels::lstm_cell_backward(a);
    CHECK(same_values(a.dpre_operand, a.dpre.to(type)));
  }
}

TEST_CASE("an LSTM's steps under autocast convert nothing") {
  const auto copies = [](int64_t steps) {
    const auto leaf = [](uint32_t seed, const Shape& shape) {
      return autograd::Variable(made(seed, shape).to(DType::f32).to(Device::cuda()), true);
    };
    const autograd::Variable x = leaf(1, {steps, 3, 8}), h = leaf(2, {3, 16}), c = leaf(3, {3, 16});
    const autograd::Variable weight_ih = leaf(4, {64, 8}), weight_hh = leaf(5, {64, 16}),
                             bias = leaf(6, {64});
    const int64_t before = tensor::cuda::launch_statistics()["copy"].launches;
    const autograd::AutocastGuard autocast(DType::f16);
    const autograd::LstmSequence all = autograd::lstm_sequence(x, {h, c}, weight_ih, weight_hh, bias, bias);
    (autograd::sum(all.outputs) + autograd::sum(all.last.c)).backward();
    return tensor::cuda::launch_statistics()["copy"].launches - before;
  };
  CHECK(copies(7) == copies(3));
}

TEST_CASE("a mask counts from where its origin is, which a step moves on") {
  const std::vector<int64_t> place{7, 40};
  for (const Device& device : {Device::cpu(), Device::cuda()}) {
    const Tensor x = Tensor::full({1000}, 1, DType::f32, device), origin = Tensor::from(place, {2}, device);
    const auto masked = [&](const tensor::DropoutMask& mask) {
      Tensor out = Tensor::empty({1000}, DType::f32, device);
      kernels::dropout(out, x, mask);
      return out.to_vector<float>();
    };
    CHECK(masked({.p = 0.5, .seed = 1, .offset = 2, .origin = origin}) == masked({0.5, 7, 42}));
    const Tensor number = Tensor::full({1}, 1, DType::f64, device);
    kernels::finish_step({.block = Tensor::zeros({tensor::StepPlace::count}, DType::f64, device),
                          .loss = number,
                          .squares = number,
                          .bad = {},
                          .origin = origin,
                          .drawn = 5});
    CHECK(masked({.p = 0.5, .seed = 1, .offset = 2, .origin = origin}) == masked({0.5, 7, 47}));
  }
}

TEST_CASE("dropout and the LSTM cell are one launch, which reads and writes each element once") {
  const Tensor pre = made(1, {4, 1200}).to(DType::f32).to(Device::cuda()),
               c_prev = made(2, {4, 300}).to(DType::f32).to(Device::cuda());
  const double n = 1200;
  const Tensor dh = c_prev.clone(), dc = c_prev.clone();
  Cell cell;
  expect_launches("lstm_cell", {1, 9 * n, 44 * n}, [&] { cell = cell_of(pre, c_prev); });
  expect_launches("lstm_cell_backward", {1, 24 * n, 52 * n},
                  [&] { gradients_of(cell, c_prev, dh, dc, false); });
  expect_launches("dropout", {1, n * 4, 32 * n}, [&] { dropped(pre, 0.5, 1, 2); });
  expect_launches("dropout", {1, n * 4, 16 * n}, [&] { dropped(pre.to(DType::f16), 0.5, 1, 2); });
}
