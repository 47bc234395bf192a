// The batches of an epoch, read ahead.
#pragma once

#include <functional>
#include <future>
#include <utility>
#include <vector>

#include "imgcap/training/train_step.h"

namespace imgcap {

// While one batch is trained, a thread reads the next one.
class EpochReader {
 public:
  using Read = std::function<TrainingBatch(const std::vector<int64_t>& photos)>;

  // `batches`: the photo numbers of each (epoch_batches); begins with batch `first`. `read` is called in one
  // thread at a time.
  EpochReader(std::vector<std::vector<int64_t>> batches, int64_t first, Read read)
      : batches_(std::move(batches)), read_(std::move(read)), next_(static_cast<size_t>(first)) {
    read_ahead();
  }

  int64_t batches() const { return static_cast<int64_t>(batches_.size()); }

  // There has to be one more. Throws what reading it threw.
  TrainingBatch next() {
    TrainingBatch batch = ahead_.get();
    ++next_;
    read_ahead();
    return batch;
  }

 private:
  void read_ahead() {
    if (next_ < batches_.size())
      ahead_ = std::async(std::launch::async, [this] { return read_(batches_[next_]); });
  }

  std::vector<std::vector<int64_t>> batches_;
  Read read_;
  size_t next_;                       // batch, counted from 0
  std::future<TrainingBatch> ahead_;  // last: its end waits for the thread
};

}  // namespace imgcap
