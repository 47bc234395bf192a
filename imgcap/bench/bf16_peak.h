// What the processor can do at most with operands of bf16.
#pragma once

#include <string>
#include <vector>

namespace imgcap::bench {

struct Bf16Peak {
  double gflops = 0;        // multiply-adds (2 each) a second / 1e9 with float32 sums, all threads; 0: none
  std::string by = "none";  // "AVX512-BF16", "AMX"
};

// Measures for about half a second. `instruction_sets` as machine.h has them: what the processor emulates is no
// peak. AVX512-BF16 needs a build for it (-march=native). AMX is measured by our product of matrices, which is less
// than what the unit could do, on the threads of the pool.
Bf16Peak measure_bf16(const std::vector<std::string>& instruction_sets, int threads);

}  // namespace imgcap::bench
