// What the machine is and what it can do at most: the scale that every timing is read against.
#pragma once

#include <string>
#include <vector>

#include "imgcap/bench/bf16_peak.h"

namespace imgcap::bench {

struct Machine {
  std::string processor;
  std::vector<std::string> instruction_sets;  // those that matter here and that the processor has
  int processors = 0;                         // that this process may run on
  int threads = 0;                            // that the thread pool uses
  double gflops = 0;                          // float32 multiply-adds (2 each) a second / 1e9, all threads
  Bf16Peak bf16;
  double bandwidth = 0;  // GB/s of a + s b -> c over arrays beyond the caches, all threads
  std::string products;  // what does the matrix products
};

std::string processor_name();
std::vector<std::string> instruction_sets();  // those that matter here and that the processor has
std::string products();                       // what does the matrix products: "oneDNN" or "Eigen"

// Measures for about a second.
Machine describe_machine();

}  // namespace imgcap::bench
