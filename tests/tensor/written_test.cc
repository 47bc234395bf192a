// Writing to a tensor in which several indices mean one element (a stride of 0, which expand makes) is an
// error everywhere; reading it is free.
#include "tensor/packed_matrix.h"
#include "tensor/random.h"
#include "tests/tensor/reference.h"

using namespace tests;

namespace {

std::vector<double> numbers(const Tensor& x) { return values(x.to(DType::f64)); }  // of 16-bit floats, too

// That f refuses to write, and that the memory of `row` is as it was.
template <class F>
void check_refused(const Tensor& row, F f) {
  const std::vector<double> before = numbers(row);
  const uint64_t version = row.version();
  check_error(ErrorKind::argument,
              {"more than one element of the written-to tensor refers to a single memory location"}, f);
  CHECK(numbers(row) == before);
  CHECK(row.version() == version);
}

}  // namespace

// torch.arange(4.).unsqueeze(0).expand(5, 4).copy_(torch.arange(20.).view(5, 4)): RuntimeError: unsupported
// operation: more than one element of the written-to tensor refers to a single memory location. [...]
TEST_CASE("expanded: copy_, fill_ and pointers for writing are refused, of every type and through views") {
  for (const DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8}) {
    const Tensor row = Tensor::arange(4).to(dtype);
    Tensor x = row.unsqueeze(0).expand({5, 4});
    for (Tensor view :
         {x, x.t(), x.slice(0, 1, 3), x.slice(0, 0, 5, 2), x.select(1, 2), x.unsqueeze(1),
          x.permute({1, 0}).select(0, 1), x.expand({2, 5, 4}), row.expand({2, 1, 4}).squeeze(1)}) {
      CAPTURE(describe(view));
      check_refused(row, [&] { view.copy_(Tensor::zeros(view.shape(), dtype)); });
      check_refused(row, [&] { view.fill_(7); });
      check_refused(row, [&] { view.zero_(); });
      check_refused(row, [&] { view.mutable_raw(); });
    }
    CHECK(numbers(x.select(0, 4)) == numbers(row));  // reading is free
    CHECK(numbers(x.clone().t()).size() == 20);
  }
  Tensor f = Tensor::full({1}, 1).expand({3});
  check_refused(f.slice(0, 0, 1), [&] { f.mutable_data<float>(); });
}

TEST_CASE("expanded: no kernel writes to it") {
  const Tensor row = Tensor::arange(4, DType::f32), a = random({5, 4}, DType::f32, 1);
  Tensor x = row.unsqueeze(0).expand({5, 4});
  tensor::Generator generator(1);
  check_refused(row, [&] { tensor::kernels::unary(x, a, tensor::UnaryOp::neg); });
  check_refused(row, [&] { tensor::kernels::unary(x, x, tensor::UnaryOp::neg); });
  check_refused(row, [&] { tensor::kernels::binary(x, a, a, tensor::BinaryOp::add); });
  check_refused(row, [&] { tensor::kernels::binary(x, x, a, tensor::BinaryOp::add); });
  check_refused(row, [&] { tensor::kernels::affine(x, a, 2, 1); });
  check_refused(row, [&] { tensor::kernels::clamp(x, x, 0, 1); });
  check_refused(row, [&] { tensor::kernels::where(x, Tensor::zeros({5, 4}, DType::boolean), a, a); });
  check_refused(row, [&] { tensor::kernels::add_inplace(x, a, 1); });
  check_refused(row, [&] {
    tensor::kernels::matmul(x, random({5, 3}, DType::f32, 2), random({3, 4}, DType::f32, 3), 1, 0);
  });
  check_refused(row, [&] {
    tensor::PackedMatrix(random({3, 4}, DType::f32, 3)).multiply(x, random({5, 3}, DType::f32, 2), true);
  });
  check_refused(row, [&] {
    Tensor c = Tensor::empty({5, 4}), gates = Tensor::empty({5, 16});
    tensor::kernels::lstm_cell({x, c, gates, Tensor::zeros({5, 16}), Tensor::zeros({5, 4})});
  });
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const Tensor half = row.to(dtype), expanded = half.unsqueeze(0).expand({5, 4});
    const auto state = [] { return Tensor::zeros({5, 4}); };
    check_refused(half, [&] {
      tensor::kernels::lstm_cell(
          {state(), state(), Tensor::zeros({5, 16}), Tensor::zeros({5, 16}), state(), expanded});
    });
    tensor::AdditiveAttention looked;
    looked.keys = looked.values = Tensor::zeros({1, 2, 4}), looked.query = state(),
    looked.v = Tensor::zeros({4});
    looked.image = Tensor::zeros({5}, DType::i64), looked.alpha = Tensor::zeros({5, 2}),
    looked.context = expanded;
    check_refused(half, [&] { tensor::kernels::additive_attention(looked); });
  }
  const Tensor half = row.to(DType::f16);
  Tensor y = half.unsqueeze(0).expand({5, 4});
  check_refused(half, [&] { tensor::kernels::affine(y, a.to(DType::f16), 2, 1); });
  check_refused(half, [&] { tensor::kernels::add_inplace(y, y, 1); });
  // Those that want a contiguous output say that.
  for (const auto& f : std::vector<std::function<void()>>{
           [&] { tensor::kernels::softmax(x, a); }, [&] { tensor::kernels::cumsum(x, a); },
           [&] { tensor::kernels::dropout(x, a, {.p = 0.5, .seed = 1}); },
           [&] { tensor::fill_uniform(x, 0, 1, generator); }}) {
    CHECK_THROWS_AS(f(), tensor::Error);
    CHECK(values(row) == std::vector<double>{0, 1, 2, 3});
  }
}

TEST_CASE("expanded: to a size of 1 or 0 it stays writable, and so does each of its rows") {
  Tensor row = Tensor::arange(4, DType::f32);
  Tensor one = row.unsqueeze(0).expand({1, 1, 4});
  one.fill_(2);
  CHECK(values(row) == std::vector<double>(4, 2));
  Tensor many = row.unsqueeze(0).expand({5, 4});
  Tensor first = many.slice(0, 0, 1), third = many.select(0, 2);
  first.fill_(3);
  CHECK(values(row) == std::vector<double>(4, 3));
  third.mutable_data<float>()[1] = 4;
  CHECK(values(row) == std::vector<double>{3, 4, 3, 3});
  for (Tensor none : {Tensor::zeros({1}).expand({0}), Tensor::zeros({1, 4}).expand({0, 4}),
                      Tensor::zeros({1, 0}).expand({5, 0}), many.slice(0, 2, 2), many.slice(1, 0, 0)}) {
    none.fill_(1);
    none.copy_(Tensor::zeros({}));
    tensor::kernels::affine(none, none, 2, 1);
  }
  CHECK(values(row) == std::vector<double>{3, 4, 3, 3});
}
