#include "tensor/cpu/bf16_support.h"

#if defined(IMGCAP_HAVE_ONEDNN)
#include <dnnl.h>
#endif

namespace tensor::cpu {

bool native_bf16() {
#if defined(IMGCAP_HAVE_ONEDNN)
  // An instruction set's number has the bits of those that it includes.
  static const bool native =
      (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
  return native;
#else
  return false;
#endif
}

}  // namespace tensor::cpu
