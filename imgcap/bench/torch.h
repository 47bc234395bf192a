// The same jobs done by PyTorch: which program and arguments measure a row, and how to read what it prints.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/bench/process.h"
#include "imgcap/bench/timing.h"

namespace imgcap::bench {

struct TorchJob {
  std::string row;      // of rows.h, or "caption"
  std::string variant;  // "original": as published; "best": as a careful user would write it
  std::string program;  // torch_baselines.py or imgcap_torch.py
  std::vector<std::string> arguments;
  enum class Reading { seconds, total, sec, encode_and_search, process } reading = Reading::seconds;
};

// The variants that a row is compared with, none for train-plain in f16; `calls`, `threads` and `precision`
// (f32, f16, bf16) go into the arguments.
std::vector<TorchJob> torch_jobs(const std::string& row, int64_t calls, int threads,
                                 const std::string& precision = "f32");

struct TorchResult {
  Timing timing;
  double peak_mib = 0;
};

// The file of a job's program: the one of that name among `given`, else the one beside the first. Kind
// argument: none is given. Kind io: it is not there.
std::filesystem::path find_program(const std::string& name, const std::vector<std::filesystem::path>& given);

// Runs it with `python`. `programs` are the files given by the user, for find_program(). Errors: io (no such
// program), data (it failed or printed no timing).
TorchResult run_torch(const TorchJob& job, const std::string& python,
                      const std::vector<std::filesystem::path>& programs, int threads);

}  // namespace imgcap::bench
