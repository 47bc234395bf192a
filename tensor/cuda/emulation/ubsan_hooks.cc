// The functions that the compiler calls where a kernel does what C++ does not define: there is none of the sanitizer's own
// library. In host code of a .cu file it ends the program.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tensor/cuda/emulation/block.h"
#include "tensor/cuda/emulation/places.h"
#include "tensor/cuda/emulation/report.h"
#include "tensor/cuda/emulation/watch.h"

namespace tensor::cuda::emulation {
namespace {

[[noreturn]] void undefined(const char* what, const void* return_address, cudaError_t error) {
  if (!in_kernel) {
    std::fprintf(stderr, "%s at %s\n", what, line_of(place_of(return_address)).c_str());
    std::abort();
  }
  const OutOfKernel out;
  report(error, running_thread_text() + ": " + what + " at " + line_of(place_of(return_address)));
  end_launch();
}

}  // namespace
}  // namespace tensor::cuda::emulation

using namespace tensor::cuda::emulation;

extern "C" {

// Each gets what the compiler knows of the place and the values, in layouts of its own; the line is enough.
#define IMGCAP_UNDEFINED(name, what, error)                              \
  [[noreturn]] void __ubsan_handle_##name(void*, uintptr_t, uintptr_t) { \
    undefined(what, __builtin_return_address(0), error);                 \
  }
IMGCAP_UNDEFINED(add_overflow, "a sum overflows its type", cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(sub_overflow, "a difference overflows its type", cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(mul_overflow, "a product overflows its type", cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(negate_overflow, "a negated number overflows its type", cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(divrem_overflow, "a division by zero, or one that overflows", cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(shift_out_of_bounds, "a shift by more than the type has, or of a negative number",
                 cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(out_of_bounds, "an index beyond the bounds of its array", cudaErrorIllegalAddress)
IMGCAP_UNDEFINED(type_mismatch_v1, "an address that is not aligned for its type", cudaErrorMisalignedAddress)
IMGCAP_UNDEFINED(load_invalid_value, "a value that its type does not have", cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(builtin_unreachable, "code that cannot be reached", cudaErrorLaunchFailure)
IMGCAP_UNDEFINED(missing_return, "a function without a result", cudaErrorLaunchFailure)

}  // extern "C"
