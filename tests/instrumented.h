// Cases that are left out under a sanitizer: `SKIP_IF_INSTRUMENTED();`. For what takes minutes there, at real sizes or
// with many processes, and runs little that smaller cases do not.
#pragma once

#include "tests/skip.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_IF_INSTRUMENTED() \
  SKIP("instrumented code takes minutes, and smaller cases run most of its lines")
#else
#define SKIP_IF_INSTRUMENTED() static_cast<void>(0)
#endif
