#include "tensor/onednn.h"

#include <cstdlib>
#include <string_view>

namespace tensor {

bool uses_onednn() {
#if defined(IMGCAP_HAVE_ONEDNN)
  static const bool wanted = [] {
    const char* without = std::getenv("IMGCAP_WITHOUT_ONEDNN");
    return without == nullptr || std::string_view(without) != "1";
  }();
  return wanted;
#else
  return false;
#endif
}

#if defined(IMGCAP_HAVE_ONEDNN)
namespace {
// Before there are threads: see fork.h.
[[maybe_unused]] const bool read_at_load = uses_onednn();
}  // namespace
#endif

}  // namespace tensor
