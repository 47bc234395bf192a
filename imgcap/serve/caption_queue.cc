#include "imgcap/serve/caption_queue.h"

#include <chrono>
#include <exception>

#include "tensor/error.h"

namespace imgcap::serve {
namespace {

bool is_over(const CaptionJob& job) { return job.request.stop != nullptr && *job.request.stop; }

void caption(const std::vector<CaptionJob*>& jobs) {
  std::vector<CaptionRequest> requests;
  for (const CaptionJob* job : jobs) {
    requests.push_back(job->request);
    requests.back().image = job->photo.get();
  }
  std::vector<CaptionResult> results = jobs.front()->captioner->caption(requests);
  for (size_t i = 0; i < jobs.size(); ++i) jobs[i]->done(std::move(results[i]));
}

// An error of one ends a batch: then each is done for itself.
void caption_each(std::vector<CaptionJob>& jobs) {
  std::vector<CaptionJob*> all;
  for (CaptionJob& job : jobs) all.push_back(&job);
  try {
    return caption(all);
  } catch (const std::exception&) {
  }
  for (CaptionJob* job : all) try {
      caption({job});
    } catch (const tensor::Error& error) {
      job->failed(error.what(), error.kind() != tensor::ErrorKind::argument);
    } catch (const std::exception& error) {
      job->failed(error.what(), true);
    }
}

}  // namespace

CaptionQueue::CaptionQueue(size_t batch, double milliseconds)
    : batch_(batch), milliseconds_(milliseconds), thread_([this] { run(); }) {}

CaptionQueue::~CaptionQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  more_.notify_all();
  thread_.join();
}

void CaptionQueue::add(std::vector<CaptionJob> jobs) {
  {
    const std::lock_guard lock(mutex_);
    for (CaptionJob& job : jobs) waiting_.push_back(std::move(job));
    numbers_.waiting = static_cast<int64_t>(waiting_.size());
  }
  more_.notify_all();
}

std::vector<CaptionJob> CaptionQueue::next_batch() {
  std::unique_lock lock(mutex_);
  more_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
  if (waiting_.empty()) return {};
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::duration<double, std::milli>(milliseconds_);
  more_.wait_until(lock, until, [&] { return ending_ || waiting_.size() >= batch_; });
  // Of one model, whatever stands between them.
  std::vector<CaptionJob> batch;
  std::deque<CaptionJob> others;
  const Captioner* captioner = waiting_.front().captioner;
  for (CaptionJob& job : waiting_) {
    if (batch.size() < batch_ && job.captioner == captioner)
      batch.push_back(std::move(job));
    else
      others.push_back(std::move(job));
  }
  waiting_.swap(others);
  numbers_.waiting = static_cast<int64_t>(waiting_.size());
  return batch;
}

void CaptionQueue::run() {
  while (true) {
    std::vector<CaptionJob> jobs = next_batch();
    if (jobs.empty()) return;
    const size_t all = jobs.size();
    std::erase_if(jobs, [](CaptionJob& job) {
      if (!is_over(job)) return false;
      CaptionResult nothing;
      nothing.stopped = true;
      job.done(std::move(nothing));
      return true;
    });
    numbers_.dropped += static_cast<int64_t>(all - jobs.size());
    if (jobs.empty()) continue;
    ++numbers_.batches;
    numbers_.searches += static_cast<int64_t>(jobs.size());
    caption_each(jobs);
  }
}

}  // namespace imgcap::serve
