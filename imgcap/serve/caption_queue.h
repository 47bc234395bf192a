// Photos that wait for their captions, in batches: one run of the encoder and one of the search for all that is there.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "imgcap/captioner.h"

namespace imgcap::serve {

// One search in one photo.
struct CaptionJob {
  const Captioner* captioner = nullptr;
  std::shared_ptr<const Image> photo;
  CaptionRequest request;  // without its image
  // Called once on the queue's thread, with the result or with what went wrong; throws nothing.
  std::function<void(CaptionResult)> done;
  std::function<void(const std::string& error, bool ours)> failed;  // ours: the server is at fault
};

struct QueueNumbers {
  std::atomic<int64_t> waiting{0};  // jobs that are not in a batch yet
  std::atomic<int64_t> batches{0}, searches{0};
  std::atomic<int64_t> dropped{0};  // nobody waited for them any more
};

class CaptionQueue {
 public:
  // A batch has `batch` jobs at most, and waits for so many `milliseconds` at most after its first.
  explicit CaptionQueue(size_t batch = 16, double milliseconds = 5);
  // Ends when all that was added is done.
  ~CaptionQueue();
  CaptionQueue(const CaptionQueue&) = delete;
  CaptionQueue& operator=(const CaptionQueue&) = delete;

  void add(std::vector<CaptionJob> jobs);
  const QueueNumbers& numbers() const { return numbers_; }

 private:
  std::vector<CaptionJob> next_batch();  // empty: it is over
  void run();

  const size_t batch_;
  const double milliseconds_;
  QueueNumbers numbers_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<CaptionJob> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace imgcap::serve
