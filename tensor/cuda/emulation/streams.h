// Streams keep what is queued on them until somebody waits. Then they take turns in an order that the seed gives, bound
// only by what CUDA promises: the order within a stream, and events.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "tensor/cuda/emulation/cuda_types.h"
#include "tensor/cuda/emulation/history.h"

namespace tensor::cuda::emulation {

// One record of an event.
struct Record {
  bool passed = false;
  Moment after;  // what is done then
  std::chrono::steady_clock::time_point time{};
};

}  // namespace tensor::cuda::emulation

struct CUevent_st {
  int device;
  bool timed;
  std::shared_ptr<tensor::cuda::emulation::Record> latest = nullptr;
};

struct CUstream_st {
  struct Work {
    std::string what;
    std::function<void()> run;  // empty: records or waits for an event
    std::shared_ptr<tensor::cuda::emulation::Record> records, waits_for;
    tensor::cuda::emulation::Moment host;  // what the host had waited for when it queued this
  };

  int device;
  size_t number;
  std::deque<Work> queue = {};
  uint64_t begun = 0, queued = 0;              // works, so far
  tensor::cuda::emulation::Moment known = {};  // what is done before its next work
};

namespace tensor::cuda::emulation {

// Whoever calls CUDA holds it: one thread at a time.
std::recursive_mutex& api_mutex();

cudaStream_t make_stream(int device);
bool is_stream(cudaStream_t stream);
void destroy_stream(cudaStream_t stream);
cudaEvent_t make_event(int device, bool timed);
bool is_event(cudaEvent_t event);
void destroy_event(cudaEvent_t event);

void queue_work(cudaStream_t stream, std::string what, std::function<void()> run);
void queue_wait(cudaStream_t stream, cudaEvent_t event);
void queue_record(cudaStream_t stream, cudaEvent_t event);

// Runs work of all streams, in turns, until what the host waits for is done.
void wait_for(cudaStream_t stream);
void wait_for(cudaEvent_t event);
void wait_for_device(int device);
// Whether it is done. Asking gives the devices time for a piece of work.
bool is_done(cudaStream_t stream);
bool is_done(cudaEvent_t event);

// The stream whose work runs now; null: none does.
cudaStream_t running_stream();
const char* running_work();

// What a device's kernels did wrong. It stays, and each call that waits for the device returns it.
cudaError_t& sticky_error(int device);

// Thrown by a library's work, or by the emulation itself, to end the work that runs. There has been a report.
struct WorkEnds {};

}  // namespace tensor::cuda::emulation
