#include <atomic>
#include <new>
#include <string>

#include "tensor/cuda/emulation/cublaslt.h"
#include "tensor/cuda/emulation/cublaslt_problem.h"
#include "tensor/cuda/emulation/cublaslt_product.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/library.h"
#include "tensor/format.h"

struct cublasLtContext {
  int device = 0;
};

namespace tensor::cuda::emulation {
namespace {

std::atomic<int64_t> calls_of_heuristic{0};
std::atomic<int> without_algorithms{0};

std::string& why() {
  thread_local std::string text;
  return text;
}

cublasStatus_t refuse(cublasStatus_t status, std::string text) {
  why() = std::move(text);
  return status;
}

// A handle is good on the device that was current when it was made.
MaybeRefused refused_handle(cublasLtHandle_t handle) {
  if (handle == nullptr) return Refusal{CUBLAS_STATUS_NOT_INITIALIZED, "there is no handle"};
  int device = -1;
  if (cudaGetDevice(&device) == cudaSuccess && device == handle->device) return std::nullopt;
  return Refusal{CUBLAS_STATUS_INVALID_VALUE,
                 tensor::format("the handle is of device {}, the current one is {}", handle->device, device)};
}

MaybeRefused misaligned(const char* name, const void* address, uint32_t told) {
  if (address != nullptr && alignment_of(address) >= told) return std::nullopt;
  return Refusal{CUBLAS_STATUS_INVALID_VALUE,
                 address == nullptr ? tensor::format("{} is null", name)
                                    : tensor::format("{} is aligned to {}, the heuristic was told {}", name,
                                                     alignment_of(address), told)};
}

MaybeRefused refused_addresses(const Problem& p, const Operands& o, const Algorithm& algorithm) {
  const Alignments& told = algorithm.aligned;
  if (MaybeRefused refused = misaligned("A", o.a, told.a)) return refused;
  if (MaybeRefused refused = misaligned("B", o.b, told.b)) return refused;
  if (MaybeRefused refused = misaligned("D", o.d, told.d)) return refused;
  const bool reads_c = p.desc.pointer_mode == CUBLASLT_POINTER_MODE_DEVICE || o.beta_value != 0;
  if (o.c != nullptr || reads_c)
    if (MaybeRefused refused = misaligned("C", o.c, told.c)) return refused;
  if (p.has_bias())
    if (MaybeRefused refused = misaligned("the bias", p.desc.bias, told.bias)) return refused;
  if (o.c == o.d && !(p.c == p.d))
    return Refusal{CUBLAS_STATUS_INVALID_VALUE, "C is D's memory in another layout"};
  return std::nullopt;
}

MaybeRefused refused_workspace(const Algorithm& algorithm, const void* workspace, size_t bytes) {
  constexpr uint32_t kAligned = 256;
  if (algorithm.workspace_bytes == 0) return std::nullopt;
  if (workspace == nullptr || bytes < algorithm.workspace_bytes)
    return Refusal{CUBLAS_STATUS_INVALID_VALUE,
                   tensor::format("a workspace of {} bytes, the algorithm needs {}",
                                  workspace == nullptr ? 0 : bytes, algorithm.workspace_bytes)};
  return misaligned("the workspace", workspace, kAligned);
}

// The algorithm that the program brings, or, where it brings none, the one that a heuristic finds for these
// addresses.
Found algorithm_for(const Problem& p, const Operands& o, const cublasLtMatmulAlgo_t* algo,
                    size_t workspace_bytes) {
  if (algo == nullptr) {
    const uint32_t c = o.c == nullptr ? 256 : alignment_of(o.c);
    return find_algorithm(p, {.workspace_bytes = o.workspace == nullptr ? 0 : workspace_bytes,
                              .alignment_a = alignment_of(o.a),
                              .alignment_b = alignment_of(o.b),
                              .alignment_c = c,
                              .alignment_d = alignment_of(o.d)});
  }
  const auto brought = inside<Algorithm>(algo);
  if (brought.fingerprint == fingerprint(p)) return {brought, {}};
  return {std::nullopt, "the algorithm was found for another problem"};
}

double host_scalar(const void* address, int32_t type) {
  return type == CUDA_R_64F ? *static_cast<const double*>(address)
                            : static_cast<double>(*static_cast<const float*>(address));
}

}  // namespace

const std::string& last_refusal() { return why(); }
int64_t heuristic_calls() { return calls_of_heuristic; }
NoAlgorithms::NoAlgorithms() { ++without_algorithms; }
NoAlgorithms::~NoAlgorithms() { --without_algorithms; }

}  // namespace tensor::cuda::emulation

using namespace tensor::cuda::emulation;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  int device = 0;
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (cudaGetDevice(&device) != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasLtContext{device};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
#define NAME(name, number) \
  case name:               \
    return #name;
    IMGCAP_CUBLAS_STATUSES(NAME)
#undef NAME
  }
  return "unrecognized status";
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "there is no handle";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "the arguments contradict each other, or what the heuristic was told";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "there is no such product";
    default:
      return "a status that the emulated library does not give";
  }
}

size_t cublasLtGetVersion() { return CUBLAS_VER_MAJOR * 10000; }

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
  ++calls_of_heuristic;
  if (const MaybeRefused refused = refused_handle(handle)) return refuse(refused->status, refused->why);
  const std::optional<Problem> problem = problem_of(desc, a, b, c, d);
  if (!problem || preference == nullptr || wanted < 1 || results == nullptr || found == nullptr)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "an argument is null, or no result is wanted");
  *found = 0;
  if (const MaybeRefused refused = refusal(*problem)) return refuse(refused->status, refused->why);
  const Found algorithm = without_algorithms > 0
                              ? Found{std::nullopt, "there are no algorithms while a NoAlgorithms lives"}
                              : find_algorithm(*problem, inside<MatmulPreference>(preference));
  if (!algorithm.algorithm) return refuse(CUBLAS_STATUS_SUCCESS, algorithm.why_none);
  results[0] = {};
  put_inside(&results[0].algo, *algorithm.algorithm);
  results[0].workspaceSize = algorithm.algorithm->workspace_bytes;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  if (const MaybeRefused refused = refused_handle(handle)) return refuse(refused->status, refused->why);
  const std::optional<Problem> problem = problem_of(desc, a_layout, b_layout, c_layout, d_layout);
  if (!problem || alpha == nullptr || beta == nullptr)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "an argument is null");
  if (const MaybeRefused refused = refusal(*problem)) return refuse(refused->status, refused->why);
  const bool from_host = problem->desc.pointer_mode == CUBLASLT_POINTER_MODE_HOST;
  const Operands operands{alpha,
                          beta,
                          from_host ? host_scalar(alpha, problem->desc.scale) : 0,
                          from_host ? host_scalar(beta, problem->desc.scale) : 0,
                          a,
                          b,
                          c,
                          d,
                          workspace};
  const auto [algorithm, why_none] = algorithm_for(*problem, operands, algo, workspace_bytes);
  if (!algorithm)
    return refuse(algo == nullptr ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_INVALID_VALUE, why_none);
  if (const MaybeRefused refused = refused_addresses(*problem, operands, *algorithm))
    return refuse(refused->status, refused->why);
  if (const MaybeRefused refused = refused_workspace(*algorithm, workspace, workspace_bytes))
    return refuse(refused->status, refused->why);
  if (counts_only()) return CUBLAS_STATUS_SUCCESS;
  queue(stream, "cublasLtMatmul", [problem = *problem, algorithm = *algorithm, operands] {
    run_product(problem, algorithm, operands);
  });
  return CUBLAS_STATUS_SUCCESS;
}
