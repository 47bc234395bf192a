#include "tensor/cuda/driver/check.h"

#include <cstdlib>
#include <string_view>

#include "tensor/error.h"

namespace tensor::cuda {
namespace {

// Errors that come from a kernel that was launched before.
bool is_from_a_kernel(cudaError_t result) {
  return result == cudaErrorIllegalAddress || result == cudaErrorLaunchFailure ||
         result == cudaErrorMisalignedAddress || result == cudaErrorAssert;
}

}  // namespace

bool waits_after_each_launch() {
  static const bool waits = [] {
    const char* value = std::getenv("IMGCAP_CUDA_CHECK");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return waits;
}

void check_result(cudaError_t result, const char* op, Device device) {
  if (result == cudaSuccess) [[likely]]
    return;
  const bool elsewhere = is_from_a_kernel(result) && !waits_after_each_launch();
  fail(ErrorKind::cuda, "{}: {}: {}{}", op, to_string(device), cudaGetErrorString(result),
       elsewhere ? "; with IMGCAP_CUDA_CHECK=1 the kernel that did it is named" : "");
}

}  // namespace tensor::cuda
