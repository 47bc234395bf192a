// What tests may ask of the emulated cuBLASLt.
#pragma once

#include <cstdint>
#include <string>

namespace tensor::cuda::emulation {

// Why the last call on this thread that was refused was: "D has leading dimension 3 with 4 rows". A real library
// says its status alone.
const std::string& last_refusal();

// How often cublasLtMatmulAlgoGetHeuristic has been called by the program.
int64_t heuristic_calls();

// While one lives, no algorithm is found for any product: cublasLtMatmulAlgoGetHeuristic succeeds with none.
class NoAlgorithms {
 public:
  NoAlgorithms();
  ~NoAlgorithms();
  NoAlgorithms(const NoAlgorithms&) = delete;
  NoAlgorithms& operator=(const NoAlgorithms&) = delete;
};

}  // namespace tensor::cuda::emulation
