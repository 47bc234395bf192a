// Products by our own inner kernels, which oneDNN's take the place of on some processors: asked here on all.
#include "tensor/cpu/panel_gemm.h"

#include "tests/tensor/reference.h"

using namespace tests;
using tensor::cpu::MatrixView;

namespace {

MatrixView<const float> view(const Tensor& x) { return {x.data<float>(), x.strides()[0], x.strides()[1]}; }

void multiply(Tensor& out, const Tensor& a, const Tensor& b, bool accumulate) {
  const int64_t k = b.size(0), n = b.size(1);
  Tensor packed = Tensor::empty({tensor::cpu::panels_size(k, n)});
  tensor::cpu::pack_panels(packed.mutable_data<float>(), k, n, view(b));
  const int64_t row = out.strides()[0];
  tensor::cpu::multiply_panels(
      {a.size(0), n, k, view(a), packed.data<float>(), out.mutable_data<float>(), row, accumulate});
}

// The same numbers with their strides the other way round.
Tensor turned(const Tensor& x) { return x.t().contiguous().t(); }

}  // namespace

TEST_CASE("panels: sizes around tiles, blocks and pieces, every layout, sums and new results") {
  for (const int64_t m : {1, 7, 255, 256, 257, 600})
    for (const auto& [k, n] :
         {std::pair<int64_t, int64_t>{1, 1}, {256, 64}, {300, 130}, {513, 31}, {64, 400}}) {
      CAPTURE(m);
      CAPTURE(k);
      CAPTURE(n);
      const Tensor a = random({m, k}, DType::f32, 1), b = random({k, n}, DType::f32, 2),
                   start = random({m, n}, DType::f32, 3);
      Tensor product = Tensor::zeros({m, n}, DType::f64);
      tensor::kernels::matmul(product, a.to(DType::f64), b.to(DType::f64), 1, 0);
      const auto expected = values(product), first = values(start);
      for (const bool accumulate : {false, true})
        for (const Tensor& left : {a, turned(a)})
          for (const Tensor& right : {b, turned(b)}) {
            Tensor wide = Tensor::full({m, n + 3}, -7.0f);
            Tensor out = wide.slice(1, 1, n + 1);
            out.copy_(start);
            multiply(out, left, right, accumulate);
            const auto found = values(out);
            double worst = 0;
            for (size_t i = 0; i < found.size(); ++i)
              worst = std::max(worst, std::fabs(found[i] - expected[i] - (accumulate ? first[i] : 0)));
            CHECK(worst < 1e-4);
            CHECK(values(wide.select(1, 0)) == std::vector<double>(static_cast<size_t>(m), -7.0));
            CHECK(values(wide.select(1, n + 1)) == std::vector<double>(static_cast<size_t>(m), -7.0));
          }
    }
}

TEST_CASE(
    "panels: a row's bits depend neither on the other rows nor on threads, and NaN in what is overwritten is") {
  const Tensor a = random({700, 300}, DType::f32, 4), b = random({300, 200}, DType::f32, 5);
  Tensor all = Tensor::full({700, 200}, std::nan("")), part = Tensor::empty({30, 200});
  multiply(all, a, b, false);
  multiply(part, a.slice(0, 250, 280), b, false);
  CHECK(part.to_vector<float>() == all.slice(0, 250, 280).contiguous().to_vector<float>());
  Tensor again = Tensor::empty({700, 200});
  const int before = tensor::num_threads();
  tensor::set_num_threads(1);
  multiply(again, a, b, false);
  tensor::set_num_threads(before);
  CHECK(again.to_vector<float>() == all.to_vector<float>());
}
