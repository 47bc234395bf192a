// The emulated cuBLASLt by its own calls: that it multiplies as documented, and refuses what the library refuses.
#include <functional>
#include <limits>
#include <string>

#include "tensor/cuda/emulation/cublaslt.h"
#include "tests/emulation/blas_calls.h"

using namespace tests;
using tensor::cuda::emulation::heuristic_calls;
using tensor::cuda::emulation::last_refusal;
using tensor::cuda::emulation::NoAlgorithms;

namespace {

// One rounding to the type of D, of results below 8, and sums in f32 or f64 of fewer than ten such numbers.
double bar(cudaDataType_t type) {
  return type == CUDA_R_64F ? 1e-14 : type == CUDA_R_32F ? 4e-6 : type == CUDA_R_16F ? 0x1p-9 : 0x1p-6;
}

}  // namespace

TEST_CASE("cuBLASLt: transposes, leading dimensions, batches, alpha and beta, in every type") {
  struct Types {
    cudaDataType_t in, out;
  };
  for (const Types types : {Types{CUDA_R_64F, CUDA_R_64F},
                            {CUDA_R_32F, CUDA_R_32F},
                            {CUDA_R_16F, CUDA_R_16F},
                            {CUDA_R_16F, CUDA_R_32F},
                            {CUDA_R_16BF, CUDA_R_16BF},
                            {CUDA_R_16BF, CUDA_R_32F}})
    for (const bool transa : {false, true})
      for (const bool transb : {false, true})
        for (const double beta : {0., -.5}) {
          CAPTURE(types.in);
          CAPTURE(types.out);
          CAPTURE(transa);
          CAPTURE(transb);
          BlasCall call({.gap = transa ? 0 : 2, .batches = transb ? 3 : 1}, transa, transb, types.in,
                        types.out);
          REQUIRE(call.call(1.5, beta) == CUBLAS_STATUS_SUCCESS);
          CHECK(furthest(call.d.read(call.stream), call.expected(1.5, beta)) <= bar(types.out));
        }
}

TEST_CASE("cuBLASLt: a matrix that a whole batch shares") {
  BlasCall call({.batches = 3}, false, false);
  call.a.set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, int64_t{0});
  REQUIRE(call.call() == CUBLAS_STATUS_SUCCESS);
  for (size_t i = 20; i < call.a_numbers.size(); ++i) call.a_numbers[i] = call.a_numbers[i - 20];
  CHECK(furthest(call.d.read(call.stream), call.expected(1, 0)) <= bar(CUDA_R_32F));
}

TEST_CASE("cuBLASLt: beta 0 does not read C, whatever is there") {
  BlasCall call({}, false, false);
  call.d.write(std::vector<double>(15, std::numeric_limits<double>::quiet_NaN()), call.stream);
  REQUIRE(call.call(1, 0) == CUBLAS_STATUS_SUCCESS);
  CHECK(furthest(call.d.read(call.stream), call.expected(1, 0)) <= bar(CUDA_R_32F));
}

TEST_CASE("cuBLASLt: f16 results that are too large are infinite, sums of it are not") {
  BlasCall call({.m = 1, .n = 1, .k = 3, .gap = 0}, false, false, CUDA_R_16F, CUDA_R_16F);
  call.a.write({256, 256, 1}, call.stream);
  call.b.write({256, -256, 1}, call.stream);
  REQUIRE(call.call() == CUBLAS_STATUS_SUCCESS);
  CHECK(call.d.read(call.stream)[0] == 1);
  call.b.write({256, 256, 1}, call.stream);
  REQUIRE(call.call() == CUBLAS_STATUS_SUCCESS);
  CHECK(std::isinf(call.d.read(call.stream)[0]));
}

TEST_CASE("cuBLASLt: bias along the rows of D, ReLU and GELU") {
  for (const cudaDataType_t type : {CUDA_R_64F, CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF})
    for (const uint32_t epilogue :
         {CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_GELU,
          CUBLASLT_EPILOGUE_GELU_BIAS}) {
      CAPTURE(type);
      CAPTURE(epilogue);
      BlasCall call({}, false, true, type, type);
      DeviceMatrix bias(type, 5, 1, 0);
      const std::vector<double> bias_numbers = some_numbers(5, 4);
      bias.write(bias_numbers, call.stream);
      call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
      call.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias.data));
      REQUIRE(call.call(1, 1) == CUBLAS_STATUS_SUCCESS);
      std::vector<double> expected = call.expected(1, 1);
      for (size_t i = 0; i < expected.size(); ++i) {
        double& x = expected[i];
        if (epilogue & CUBLASLT_EPILOGUE_BIAS) x += bias_numbers[i % 5];
        if (epilogue & CUBLASLT_EPILOGUE_RELU) x = std::max(x, 0.);
        if (epilogue & CUBLASLT_EPILOGUE_GELU)
          x *= .5 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979324) * (x + .044715 * x * x * x)));
      }
      CHECK(furthest(call.d.read(call.stream), expected) <= bar(type));
    }
}

TEST_CASE("cuBLASLt: alpha and beta from the device's memory") {
  BlasCall call({}, true, false);
  DeviceMatrix scalars(CUDA_R_32F, 2, 1, 0);
  scalars.write({2, .5}, call.stream);
  call.set(CUBLASLT_MATMUL_DESC_POINTER_MODE, static_cast<int32_t>(CUBLASLT_POINTER_MODE_DEVICE));
  REQUIRE(call.find() == CUBLAS_STATUS_SUCCESS);
  const auto* alpha = static_cast<const float*>(scalars.data);
  REQUIRE(call.run(alpha, alpha + 1) == CUBLAS_STATUS_SUCCESS);
  CHECK(furthest(call.d.read(call.stream), call.expected(2, .5)) <= bar(CUDA_R_32F));
}

TEST_CASE("cuBLASLt: what the library refuses is refused, and says why") {
  struct Wrong {
    const char* why;  // a part of last_refusal()
    cublasStatus_t status;
    std::function<void(BlasCall&)> change;  // before the heuristic is asked
    std::function<void(BlasCall&)> change_later = {};
  };
  const auto epilogue = [](uint32_t value) {
    return [value](BlasCall& c) { c.set(CUBLASLT_MATMUL_DESC_EPILOGUE, value); };
  };
  const auto biased = [](BlasCall& c) {
    c.set(CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<uint32_t>(CUBLASLT_EPILOGUE_BIAS));
    c.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(c.workspace.data));
  };
  const std::vector<Wrong> all{
      {"leading dimension 4 with 5 rows", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.a.set(CUBLASLT_MATRIX_LAYOUT_LD, int64_t{4}); }},
      {"B has leading dimension 0", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.b.set(CUBLASLT_MATRIX_LAYOUT_LD, int64_t{0}); }},
      {"sizes are 1 to 2^31 - 1", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.b.set(CUBLASLT_MATRIX_LAYOUT_COLS, uint64_t{0}); }},
      {"sizes are 1 to 2^31 - 1", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.b.set(CUBLASLT_MATRIX_LAYOUT_COLS, uint64_t{1} << 31); }},
      {"op(A) (4, 5) x op(B) (4, 3) does not give D (5, 3)", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.set(CUBLASLT_MATMUL_DESC_TRANSA, static_cast<int32_t>(CUBLAS_OP_T)); }},
      {"no cublasOperation_t", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.set(CUBLASLT_MATMUL_DESC_TRANSB, int32_t{7}); }},
      {"batches differ", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.a.set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t{2}); }},
      {"A has 0 batches", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.a.set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t{0}); }},
      {"the matrices of D, 18 elements apart, overlap", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) {
         for (DeviceMatrix* x : {&c.a, &c.b, &c.d}) x->set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t{2});
         c.d.set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, int64_t{18});
       }},
      {"scale type 1 does not go with compute type 68", CUBLAS_STATUS_NOT_SUPPORTED,
       [](BlasCall& c) { c.set(CUBLASLT_MATMUL_DESC_SCALE_TYPE, static_cast<int32_t>(CUDA_R_64F)); }},
      {"compute type 64", CUBLAS_STATUS_NOT_SUPPORTED,
       [](BlasCall& c) { c.set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, int32_t{64}); }},
      {"A CUDA_R_16F and B CUDA_R_32F", CUBLAS_STATUS_NOT_SUPPORTED,
       [](BlasCall& c) { c.a.set(CUBLASLT_MATRIX_LAYOUT_TYPE, static_cast<uint32_t>(CUDA_R_16F)); }},
      {"D CUDA_R_16F", CUBLAS_STATUS_NOT_SUPPORTED,
       [](BlasCall& c) { c.d.set(CUBLASLT_MATRIX_LAYOUT_TYPE, static_cast<uint32_t>(CUDA_R_16F)); }},
      {"a type that the emulation does not have", CUBLAS_STATUS_NOT_SUPPORTED,
       [](BlasCall& c) { c.a.set(CUBLASLT_MATRIX_LAYOUT_TYPE, uint32_t{3}); }},
      {"epilogue 3", CUBLAS_STATUS_NOT_SUPPORTED, epilogue(3)},
      {"epilogue 64", CUBLAS_STATUS_NOT_SUPPORTED, epilogue(64)},
      {"pointer mode 2", CUBLAS_STATUS_NOT_SUPPORTED,
       [](BlasCall& c) { c.set(CUBLASLT_MATMUL_DESC_POINTER_MODE, int32_t{2}); }},
      {"a bias CUDA_R_16F with D CUDA_R_32F", CUBLAS_STATUS_NOT_SUPPORTED,
       [&](BlasCall& c) {
         biased(c);
         c.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<int32_t>(CUDA_R_16F));
       }},
      {"the bias is null", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) {
         c.set(CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<uint32_t>(CUBLASLT_EPILOGUE_BIAS));
       }},
      {"the bias is aligned to 4, the heuristic was told 256", CUBLAS_STATUS_INVALID_VALUE, biased,
       [](BlasCall& c) {
         c.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER,
               static_cast<const void*>(static_cast<float*>(c.workspace.data) + 1));
       }},
      {"A is aligned to 4, the heuristic was told 256", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) { c.a_at += 4; }},
      {"B is aligned to 8, the heuristic was told 16", CUBLAS_STATUS_INVALID_VALUE,
       [](BlasCall& c) {
         c.b_at += 8;
         c.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, uint32_t{16});
       }},
      {"D is aligned to 128", CUBLAS_STATUS_INVALID_VALUE, [](BlasCall& c) { c.d_at += 128; }},
      {"A is null", CUBLAS_STATUS_INVALID_VALUE, [](BlasCall& c) { c.a_at = nullptr; }},
      {"found for another problem", CUBLAS_STATUS_INVALID_VALUE, [](BlasCall&) {},
       [](BlasCall& c) { c.a.set(CUBLASLT_MATRIX_LAYOUT_LD, int64_t{6}); }},
      {"there is no handle", CUBLAS_STATUS_NOT_INITIALIZED,
       [](BlasCall& c) {
         REQUIRE(cublasLtDestroy(c.handle) == CUBLAS_STATUS_SUCCESS);
         c.handle = nullptr;
       }},
  };
  for (const Wrong& wrong : all) {
    CAPTURE(wrong.why);
    BlasCall call({}, false, false);
    wrong.change(call);
    cublasStatus_t status = call.find();
    if (status == CUBLAS_STATUS_SUCCESS) {
      REQUIRE(call.found == 1);
      if (wrong.change_later) wrong.change_later(call);
      status = call.run(1, 0);
    }
    CHECK(status == wrong.status);
    CHECK_MESSAGE(last_refusal().find(wrong.why) != std::string::npos, last_refusal());
    CHECK(cudaStreamSynchronize(call.stream) == cudaSuccess);
    CHECK(furthest(call.d.read(call.stream), call.d_numbers) <= bar(CUDA_R_32F));  // nothing has run
  }
}

TEST_CASE("cuBLASLt: an algorithm with a workspace wants all of it, aligned") {
  const Sizes sizes{.m = 5, .n = 3, .k = 600, .gap = 0};
  BlasCall call(sizes, false, false);
  REQUIRE(call.find() == CUBLAS_STATUS_SUCCESS);
  const size_t needs = call.result.workspaceSize;
  CHECK(needs == 60);
  call.workspace_bytes = needs - 1;
  CHECK(call.run(1, 0) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(last_refusal() == "a workspace of 59 bytes, the algorithm needs 60");
  call.workspace_bytes = needs;
  void* whole = call.workspace.data;
  call.workspace.data = static_cast<std::byte*>(whole) + 16;
  CHECK(call.run(1, 0) == CUBLAS_STATUS_INVALID_VALUE);
  call.workspace.data = whole;
  CHECK(call.run(1, 0) == CUBLAS_STATUS_SUCCESS);
  CHECK(furthest(call.d.read(call.stream), call.expected(1, 0)) <= 1e-4);
  // Without one there is another algorithm.
  call.prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{0});
  REQUIRE(call.find() == CUBLAS_STATUS_SUCCESS);
  CHECK(call.result.workspaceSize == 0);
  CHECK(call.run(1, 0) == CUBLAS_STATUS_SUCCESS);
  CHECK(furthest(call.d.read(call.stream), call.expected(1, 0)) <= 1e-4);
}

TEST_CASE("cuBLASLt: the parts of a long sum are added in 16 bits where the preference allows it") {
  BlasCall call({.m = 1, .n = 1, .k = 1024, .gap = 0}, false, false, CUDA_R_16F, CUDA_R_16F);
  std::vector<double> terms(1024, 0);
  terms[0] = 2048, terms[1] = 1, terms[256] = -1;  // f16 has no 2049
  call.a.write(terms, call.stream);
  call.b.write(std::vector<double>(1024, 1), call.stream);
  const auto found = [&] {
    REQUIRE(call.call() == CUBLAS_STATUS_SUCCESS);
    return call.d.read(call.stream)[0];
  };
  CHECK(found() == 2047);
  call.prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
              static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  CHECK(found() == 2048);
  CHECK(call.result.workspaceSize == 4);
  call.prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
              static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
  CHECK(found() == 2048);
  CHECK(call.result.workspaceSize == 0);
}

TEST_CASE("cuBLASLt: a heuristic that finds nothing succeeds") {
  BlasCall call({}, false, false);
  const int64_t before = heuristic_calls();
  {
    const NoAlgorithms none;
    CHECK(call.find() == CUBLAS_STATUS_SUCCESS);
    CHECK(call.found == 0);
  }
  call.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, uint32_t{2});
  CHECK(call.find() == CUBLAS_STATUS_SUCCESS);
  CHECK(call.found == 0);
  call.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, uint32_t{4});
  CHECK(call.find() == CUBLAS_STATUS_SUCCESS);
  CHECK(call.found == 1);
  CHECK(heuristic_calls() == before + 3);
}

TEST_CASE("cuBLASLt: attributes of another size, or none, are refused") {
  BlasCall call({}, false, false);
  const int64_t value = 1;
  CHECK(cublasLtMatrixLayoutSetAttribute(call.a.layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &value, 8) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasLtMatrixLayoutSetAttribute(call.a.layout, CUBLASLT_MATRIX_LAYOUT_LD, &value, 4) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasLtMatmulDescSetAttribute(call.desc, CUBLASLT_MATMUL_DESC_TRANSA, nullptr, 4) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasLtMatmulDescSetAttribute(nullptr, CUBLASLT_MATMUL_DESC_TRANSA, &value, 4) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasLtMatmulPreferenceSetAttribute(call.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &value, 4) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasLtMatrixLayoutCreate(nullptr, CUDA_R_32F, 1, 1, 1) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("cuBLASLt: statuses have names") {
  CHECK(std::string(cublasLtGetStatusName(CUBLAS_STATUS_NOT_SUPPORTED)) == "CUBLAS_STATUS_NOT_SUPPORTED");
  CHECK(std::string(cublasLtGetStatusName(static_cast<cublasStatus_t>(99))) == "unrecognized status");
}
