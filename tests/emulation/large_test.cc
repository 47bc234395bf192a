// Elements that 32 bits cannot count, in memory of which only what is used is there.
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tensor/cuda/conv2d_columns.h"
#include "tensor/cuda/driver/streams.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/kernels.h"

using tensor::Device;
using tensor::DType;
using tensor::Tensor;
namespace emulation = tensor::cuda::emulation;
namespace kernels = tensor::kernels;

namespace {

constexpr int64_t kMany = int64_t{1} << 31;

// A tensor on the device, larger than its memory.
class Large {
 public:
  Large(const tensor::Shape& shape, DType type)
      : start_(static_cast<std::byte*>(
            emulation::reserve(0, static_cast<size_t>(shape.numel() * tensor::size_of(type))))),
        tensor_(Tensor::wrap(start_, shape, type, std::shared_ptr<void>(start_, [](void* p) { cudaFree(p); }),
                             Device::cuda())) {}

  const Tensor& tensor() const { return tensor_; }
  void* start() { return start_; }

  // Writes the elements of a vector from place `at` on.
  template <class T>
  void write(int64_t at, const std::vector<T>& values) {
    const size_t bytes = values.size() * sizeof(T);
    CHECK(cudaMemcpyAsync(start_ + at * static_cast<int64_t>(sizeof(T)), values.data(), bytes,
                          cudaMemcpyHostToDevice,
                          tensor::cuda::compute_stream(Device::cuda())) == cudaSuccess);
  }

 private:
  std::byte* start_;
  Tensor tensor_;
};

}  // namespace

TEST_CASE("rows behind the first 2^31 elements") {
  constexpr int64_t kLength = 1000, kRows = kMany / kLength + 3;
  Large x({kRows, kLength}, DType::f32);
  std::vector<float> row(kLength, 1);
  row[777] = 2;
  for (int64_t i = kRows - kRows % 8; i < kRows; ++i) x.write(i * kLength, row);
  Tensor out = Tensor::empty({kRows}, DType::i64, Device::cuda());
  {
    const emulation::ChosenBlocks last(kRows / 8, 1);
    kernels::argmax(out, x.tensor());
    CHECK(out.select(0, kRows - 1).item() == 777);
  }
}

TEST_CASE("strides that reach beyond 2^31 elements") {
  constexpr int64_t kStep = kMany / 64, kCount = 130;  // the last one is at 2.016 * 2^31
  Large halves({kCount, kStep}, DType::bf16);
  for (int64_t i = 0; i < kCount; ++i)
    halves.write(i * kStep, std::vector<tensor::bf16>{tensor::bf16(static_cast<float>(i))});
  CHECK(halves.tensor().numel() > 2 * kMany);
  const Tensor column = halves.tensor().select(1, 0);
  Tensor out = Tensor::empty({kCount}, DType::bf16, Device::cuda()),
         sum = Tensor::empty({}, DType::f32, Device::cuda());
  kernels::unary(out, column, tensor::UnaryOp::neg);
  CHECK(out.select(0, kCount - 1).item() == -129);
  Large floats({kCount, kStep}, DType::f32);
  for (int64_t i = 0; i < kCount; ++i) floats.write(i * kStep, std::vector<float>{static_cast<float>(i)});
  kernels::reduce(sum, floats.tensor().select(1, 0), {0}, tensor::ReduceOp::sum);
  CHECK(sum.item() == 129 * 130 / 2);
}

TEST_CASE("windows of pictures behind the first 2^31 elements") {
  constexpr int64_t kStep = 16384, kSide = 2 * kStep + 1;
  const tensor::Shape shape{1, 2, kSide, kSide};
  CHECK(shape.numel() > kMany);
  // Windows of 1 x 2, three along each axis; the last ones reach past the right edge. x is channel, row and
  // column there, and 1000 to the right of it.
  Large x(shape, DType::f32);
  std::vector<double> filtered, greatest;
  double sum = 0;
  for (int64_t at = 0; at < 18; ++at) {
    const int64_t c = at / 9, row = at / 3 % 3, column = at % 3;
    const auto value = static_cast<float>(100 * c + 10 * row + column);
    const auto next = column < 2 ? 1000.0F : 0.0F;
    std::vector<float> pair{value};
    if (column < 2) pair.push_back(next);
    x.write(((c * kSide + row * kStep) * kSide + column * kStep), pair);
    filtered.push_back(static_cast<double>(c == 0 ? value + 2 * next : 3 * value + 4 * next));
    greatest.push_back(static_cast<double>(std::max(value, next)));
    if (c == 1) sum += static_cast<double>(value);
  }
  tensor::Conv2dOptions options{.stride_h = kStep, .stride_w = kStep, .pad_right = 1, .groups = 2};
  const Tensor filters = Tensor::from<float>({1, 2, 3, 4}, {2, 1, 1, 2}).to(Device::cuda());
  Tensor out = Tensor::empty({1, 2, 3, 3}, DType::f32, Device::cuda()),
         indices = Tensor::empty({1, 2, 3, 3}, DType::i64, Device::cuda()),
         dw = Tensor::empty({2, 1, 1, 2}, DType::f32, Device::cuda());
  kernels::conv2d(out, x.tensor(), filters, {}, options);
  CHECK(out.to(DType::f64).to_vector<double>() == filtered);
  kernels::conv2d_backward_weight(dw, Tensor::full({1, 2, 3, 3}, 1, DType::f32, Device::cuda()), x.tensor(),
                                  options);
  CHECK(dw.view({4}).slice(0, 2, 4).to(DType::f64).to_vector<double>() == std::vector<double>{sum, 6000});
  kernels::max_pool2d(out, indices, x.tensor(),
                      {.kernel_h = 1, .kernel_w = 1, .stride_h = kStep, .stride_w = kStep});
  CHECK(indices.view({18}).slice(0, 17, 18).item<int64_t>() == kSide * kSide - 1);
  CHECK(out.view({18}).slice(0, 17, 18).item() == 122);
  options.groups = 1;  // by columns
  Tensor both = Tensor::empty({1, 1, 3, 3}, DType::f32, Device::cuda());
  kernels::conv2d(both, x.tensor(), filters.view({1, 2, 1, 2}), {}, options);
  for (size_t i = 0; i < 9; ++i) filtered[i] += filtered[i + 9];
  filtered.resize(9);
  CHECK(both.to(DType::f64).to_vector<double>() == filtered);
}

TEST_CASE("columns behind the first 2^31 elements, and back") {
  constexpr int64_t kSide = 32769, kPlane = kSide * kSide;
  const tensor::Shape shape{1, 2, kSide, kSide};
  const int64_t n = shape.numel();
  Large x(shape, DType::f32), columns({2 * n}, DType::f32), dx({n}, DType::f32);
  std::vector<float> values;
  for (int i = 0; i < 600; ++i) values.push_back(static_cast<float>(i));
  x.write(n - 600, values);
  const auto at = [](const Large& large, int64_t i) {
    return large.tensor().slice(0, i, i + 1).to(Device::cpu()).item();
  };
  // The last two blocks of so many elements, of one thread each.
  const auto last = [](int64_t elements) { return static_cast<uint64_t>((elements + 255) / 256 - 2); };
  // Windows of 1 x 2, which reach past the right edge.
  const tensor::internal::Conv2dGeometry g(shape, {2, 1, 1, 2}, shape, {.pad_right = 1, .groups = 2});
  {
    const emulation::ChosenBlocks chosen(last(2 * n), 2);  // of the last row: what is right of each pixel
    tensor::cuda::gather_columns(columns.start(), x.tensor().device_raw(), g, 1,
                                 tensor::cuda::Columns::of_images, DType::f32, "test", Device::cuda());
    CHECK(at(columns, 2 * n - 1) == 0);
    CHECK(at(columns, 2 * n - 2) == 599);
  }
  columns.write(2 * n - 600, values);
  columns.write(2 * n - kPlane - 600, values);
  {
    const emulation::ChosenBlocks chosen(last(n), 2);
    tensor::cuda::add_columns(dx.start(), columns.tensor().device_raw(), g, 1, DType::f32, "test",
                              Device::cuda());
    CHECK(at(dx, n - 1) == 599 + 598);
  }
}
