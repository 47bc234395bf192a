// Runs of the toy data set on any device, and what they leave.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "imgcap/training/trainer.h"
#include "tests/folder.h"
#include "tests/training/toy.h"

namespace imgcap {

// Trains up to step `last` (0: to the end), from the folder's checkpoint where there is one; the steps' losses.
inline std::vector<double> run_toy(const Toy& toy, const TrainOptions& options,
                                   const std::filesystem::path& folder, const Device& device,
                                   int64_t last = 0) {
  const bool resumes = std::filesystem::exists(folder / "last.safetensors");
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder, {}, nullptr, device);
  CHECK(trainer.decoder().device() == device);
  if (resumes) trainer.resume();
  std::vector<double> losses;
  std::atomic<bool> stop{false};
  TrainListener listener;
  listener.step = [&](const StepReport& r) {
    losses.push_back(r.loss);
    stop = r.step == last;
  };
  trainer.run(listener, stop);
  return losses;
}

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  CHECK_MESSAGE(in, file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

// Checkpoints of both runs, to the byte.
inline void check_same_files(const tests::TemporaryFolder& a, const tests::TemporaryFolder& b) {
  for (const char* name : {"last.safetensors", "best.safetensors"})
    CHECK_MESSAGE(bytes_of(a.path / name) == bytes_of(b.path / name), name);
}

inline TrainOptions self_critical_options() {
  TrainOptions options = toy_options();
  options.objective = Objective::self_critical;
  options.samples = 3;
  options.teacher_forcing = 1;
  options.label_smoothing = 0;
  return options;
}

}  // namespace imgcap
