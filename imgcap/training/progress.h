// How fast a run goes, and when it will end.
#pragma once

#include <chrono>
#include <cstdint>

#include "imgcap/training/reports.h"

namespace imgcap {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// Of the steps of this run, which may have been resumed after `first_step`.
class Progress {
 public:
  Progress(int64_t first_step, int64_t total_steps) : first_step_(first_step), total_steps_(total_steps) {}

  // Fills in speed, time left and number of steps after a step. Captions per second are
  // of training alone; the time left counts on as many pauses as before.
  void tell(StepReport& report) {
    captions_ += report.captions;
    const double seconds = watch_.seconds();
    report.total_steps = total_steps_;
    report.captions_per_second = static_cast<double>(captions_) / (seconds - paused_);
    report.seconds_left = seconds / static_cast<double>(report.step - first_step_) *
                          static_cast<double>(total_steps_ - report.step);
  }

  // Seconds in which nothing was trained: validating, saving.
  void add_pause(double seconds) { paused_ += seconds; }

 private:
  Stopwatch watch_;
  int64_t first_step_, total_steps_, captions_ = 0;
  double paused_ = 0;
};

}  // namespace imgcap
