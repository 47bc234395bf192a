// Two programs that are wrong in the ways in which one is wrong with a column-major library, each beside its right
// twin, and what finds them: a product of matrices that have not changed places, and a wrong leading dimension.
#include "tensor/cuda/emulation/cublaslt.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tests/emulation/blas_calls.h"

using namespace tests;
using tensor::cuda::emulation::last_refusal;
using tensor::cuda::emulation::take_reports;

namespace {

// Row-major a (m, k) and b (k, n) by plain loops.
std::vector<double> row_major_product(const std::vector<double>& a, const std::vector<double>& b, int64_t m,
                                      int64_t n, int64_t k) {
  std::vector<double> out;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += a[static_cast<size_t>(i * k + l)] * b[static_cast<size_t>(l * n + j)];
      out.push_back(sum);
    }
  return out;
}

}  // namespace

TEST_CASE("wrong program: a transposed product gives other numbers, or is refused") {
  constexpr int64_t n = 4;
  const std::vector<double> a = some_numbers(n * n, 1), b = some_numbers(n * n, 2);
  const std::vector<double> right = row_major_product(a, b, n, n, n);
  const auto multiply = [&](const std::vector<double>& first, const std::vector<double>& second) {
    BlasCall call({.m = n, .n = n, .k = n, .gap = 0}, false, false);
    call.a.write(first, call.stream), call.b.write(second, call.stream);
    REQUIRE(call.call() == CUBLAS_STATUS_SUCCESS);
    return call.d.read(call.stream);
  };
  CHECK(furthest(multiply(b, a), right) <= 1e-6);
  CHECK(furthest(multiply(a, b), right) > .1);
  // Sizes that differ do not even fit: rows by rows, (5, 4) x (4, 3) into (5, 3).
  BlasCall call({.m = 3, .n = 5, .k = 4}, false, false);
  std::swap(call.a.layout, call.b.layout);
  CHECK(call.find() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(last_refusal() == "op(A) (4, 5) x op(B) (3, 4) does not give D (3, 5)");
}

TEST_CASE(
    "wrong program: a wrong leading dimension reads what nobody wrote, or past the end, or is refused") {
  static_cast<void>(take_reports());
  tensor::cuda::emulation::show_reports(false);
  // Columns of 5 numbers, 7 apart in memory.
  const auto reports = [](DeviceMatrix BlasCall::*matrix, int64_t leading) {
    BlasCall call({.m = 5, .n = 5, .k = 5, .gap = 2}, false, false);
    (call.*matrix).set(CUBLASLT_MATRIX_LAYOUT_LD, leading);
    REQUIRE(call.call() == CUBLAS_STATUS_SUCCESS);
    const bool well = cudaStreamSynchronize(call.stream) == cudaSuccess;
    const std::vector<std::string> all = take_reports();
    static_cast<void>(cudaGetLastError());  // which the next launch would say
    CHECK(well == all.empty());
    if (well) CHECK(furthest(call.d.read(call.stream), call.expected(1, 0)) <= 1e-6);
    for (const std::string& text : all) CHECK_MESSAGE(text.starts_with("cublasLtMatmul: cuda:0: "), text);
    return all.size();
  };
  for (DeviceMatrix BlasCall::*matrix : {&BlasCall::a, &BlasCall::b}) {
    CHECK(reports(matrix, 7) == 0);
    CHECK(reports(matrix, 5) == 1);  // between the columns nobody has written
    CHECK(reports(matrix, 9) == 1);
  }
  CHECK(reports(&BlasCall::d, 7) == 0);
  CHECK(reports(&BlasCall::d, 9) == 1);  // past the end
  tensor::cuda::emulation::show_reports(true);
  // Where something has been written there, the numbers are others.
  BlasCall call({.m = 5, .n = 5, .k = 5, .gap = 2}, false, false);
  REQUIRE(cudaMemsetAsync(call.a.data, 0, 7 * 5 * sizeof(float), call.stream) == cudaSuccess);
  call.a.write(call.a_numbers, call.stream);
  call.a.set(CUBLASLT_MATRIX_LAYOUT_LD, int64_t{5});
  REQUIRE(call.call() == CUBLAS_STATUS_SUCCESS);
  CHECK(furthest(call.d.read(call.stream), call.expected(1, 0)) > .1);
}
