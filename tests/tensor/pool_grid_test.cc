// Pools over a grid of sizes and windows against PyTorch: what it refuses, and every place and value that it
// gives.
#include <fstream>
#include <sstream>

#include "tensor/nhwc.h"
#include "tensor/window.h"
#include "tests/data_dir.h"
#include "tests/tensor/reference.h"

using namespace tests;
using tensor::Pool2dOptions;

namespace {

struct Line {
  std::string text;
  std::vector<int64_t> numbers;
  bool refused = false;
  std::vector<std::string> wanted;
};

// The lines of tests/golden/pools.txt that begin with `kind`; see make_pools.py there.
std::vector<Line> lines_of(const std::string& kind) {
  std::ifstream file(source_dir() / "tests/golden/pools.txt");
  std::vector<Line> all;
  for (std::string text; std::getline(file, text);) {
    if (!text.starts_with(kind)) continue;
    Line line{text, {}, false, {}};
    const size_t colon = text.find(':');
    std::istringstream before(text.substr(kind.size(), colon - kind.size())), after(text.substr(colon + 1));
    for (int64_t n = 0; before >> n;) line.numbers.push_back(n);
    for (std::string word; after >> word;) line.wanted.push_back(word);
    line.refused = line.wanted == std::vector<std::string>{"refused"};
    all.push_back(std::move(line));
  }
  return all;
}

// The row of make_pools.py, along the last dimension or (down) the one before.
Tensor row(int64_t size, bool down) {
  std::vector<float> numbers;
  for (int64_t i = 0; i < size; ++i) numbers.push_back(static_cast<float>(5 * i % 7));
  return Tensor::from(numbers, down ? Shape{1, 1, size, 1} : Shape{1, 1, 1, size});
}

void check_max(const Line& line, bool down) {
  const int64_t size = line.numbers[0], kernel = line.numbers[1], stride = line.numbers[2],
                pad = line.numbers[3], dilation = line.numbers[4];
  Pool2dOptions o{1, kernel, 1, stride, 0, pad, 1, dilation, line.numbers[5] != 0};
  if (down) o = {kernel, 1, stride, 1, pad, 0, dilation, 1, line.numbers[5] != 0};
  const Tensor x = row(size, down);
  if (line.refused) {
    CHECK_THROWS_WITH_AS(tensor::pool2d_output_shape(x.shape(), o, "max_pool2d"),
                         doctest::Contains("max_pool2d: "), tensor::Error);
    return;
  }
  const auto cells = static_cast<int64_t>(line.wanted.size());
  const Shape shape = tensor::pool2d_output_shape(x.shape(), o, "max_pool2d");
  REQUIRE(shape == (down ? Shape{1, 1, cells, 1} : Shape{1, 1, 1, cells}));
  std::vector<double> places, best, gradient(static_cast<size_t>(size), 0);
  for (const std::string& word : line.wanted) {
    const bool nothing = word == "-";
    const int64_t place = nothing ? -1 : std::stoll(word);
    places.push_back(static_cast<double>(place));
    best.push_back(nothing ? -INFINITY : static_cast<double>(5 * place % 7));
    if (!nothing) gradient[static_cast<size_t>(place)] += 1;
  }
  Tensor out = Tensor::empty(shape), indices = Tensor::empty(shape, DType::i64),
         dx = Tensor::empty(x.shape());
  tensor::kernels::max_pool2d(out, indices, x, o);
  CHECK(values(out) == best);
  CHECK(values(indices) == places);
  tensor::kernels::max_pool2d_backward(dx, Tensor::full(shape, 1), indices);
  CHECK(values(dx) == gradient);
  using tensor::NhwcBatch;
  NhwcBatch packed(1, shape[2], shape[3], 1, {0, 0, 0, 0});
  tensor::kernels::max_pool2d_nhwc(packed, NhwcBatch::from_nchw(x, {0, 0, 0, 0}), o);
  CHECK(values(packed.to_nchw()) == best);
}

}  // namespace

TEST_CASE("max_pool2d: windows, places and refusals are PyTorch's over a grid of sizes") {
  const std::vector<Line> lines = lines_of("max");
  CHECK(lines.size() > 1000);
  for (const Line& line : lines)
    for (const bool down : {false, true}) {
      CAPTURE(line.text);
      CAPTURE(down);
      check_max(line, down);
    }
}

// SqueezeNet's and GoogLeNet's pools on small pictures.
//   F.max_pool2d(torch.arange(4.).view(1, 1, 2, 2), 3, 2, ceil_mode=True)  ->  [[[[3.]]]]
//   F.max_pool2d(torch.arange(10.).view(1, 1, 2, 5), 3, 2, ceil_mode=True)  ->  [[[[7., 9.]]]]
//   F.max_pool2d(torch.arange(4.).view(1, 1, 2, 2), 4, 2, ceil_mode=True)  ->  RuntimeError: Output size is
//   too small
TEST_CASE("max_pool2d: with ceil_mode a window may be larger than the picture") {
  const auto pooled = [](const Shape& shape, int64_t kernel) {
    const Tensor x = Tensor::arange(shape.numel(), DType::f32).view(shape);
    const Pool2dOptions o{kernel, kernel, 2, 2, 0, 0, 1, 1, true};
    const Shape out_shape = tensor::pool2d_output_shape(shape, o, "max_pool2d");
    Tensor out = Tensor::empty(out_shape), indices = Tensor::empty(out_shape, DType::i64);
    tensor::kernels::max_pool2d(out, indices, x, o);
    return std::pair(out_shape, values(out));
  };
  CHECK(pooled({1, 1, 2, 2}, 3) == std::pair(Shape{1, 1, 1, 1}, std::vector<double>{3}));
  CHECK(pooled({1, 1, 2, 5}, 3) == std::pair(Shape{1, 1, 1, 2}, std::vector<double>{7, 9}));
  check_error(ErrorKind::shape, {"max_pool2d: ", "larger", "(1, 1, 2, 2)"}, [&] { pooled({1, 1, 2, 2}, 4); });
}

TEST_CASE("adaptive_avg_pool2d: values and refusals are PyTorch's over a grid of sizes") {
  const std::vector<Line> lines = lines_of("adaptive");
  CHECK(lines.size() == 56);
  for (const Line& line : lines)
    for (const bool down : {false, true}) {
      CAPTURE(line.text);
      CAPTURE(down);
      const int64_t size = line.numbers[0], cells = line.numbers[1];
      const Tensor x = row(size, down).to(DType::f64);
      Tensor out = Tensor::empty(down ? Shape{1, 1, cells, 1} : Shape{1, 1, 1, cells}, DType::f64);
      if (line.refused) {
        check_error(ErrorKind::shape, {"adaptive_avg_pool2d"},
                    [&] { tensor::kernels::adaptive_avg_pool2d(out, x); });
        continue;
      }
      tensor::kernels::adaptive_avg_pool2d(out, x);
      const std::vector<double> got = values(out);
      REQUIRE(got.size() == line.wanted.size());
      for (size_t i = 0; i < got.size(); ++i)
        CHECK(std::abs(got[i] - std::stod(line.wanted[i])) <= 1e-15 * 6);
    }
}
