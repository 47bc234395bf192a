#include "tensor/cuda/emulation/streams.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <utility>
#include <vector>

#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/library.h"
#include "tensor/cuda/emulation/memory.h"
#include "tensor/cuda/emulation/order.h"
#include "tensor/cuda/emulation/pinned.h"
#include "tensor/cuda/emulation/watch.h"
#include "tensor/error.h"

namespace tensor::cuda::emulation {
namespace {

// Never destroyed: the last tensors may outlive static objects.
struct All {
  std::recursive_mutex mutex;
  std::vector<cudaStream_t> streams;  // in the order in which they were made
  size_t streams_made = 0;
  std::set<cudaEvent_t> events;
  std::array<cudaError_t, kDevices> errors{};
  Moment host;  // what the host has waited for
  cudaStream_t running = nullptr;
  const char* what = nullptr;
};
All& all() {
  static All* const them = new All;
  return *them;
}

uint64_t first_seed() {
  const char* seed = std::getenv("IMGCAP_EMULATION_SEED");
  return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

bool is_ready(const CUstream_st& stream) {
  if (stream.queue.empty()) return false;
  const auto& event = stream.queue.front().waits_for;
  return event == nullptr || event->passed;
}

void run_work(CUstream_st& stream, const CUstream_st::Work& work) {
  if (sticky_error(stream.device) != cudaSuccess) return;  // nothing runs there any more
  all().running = &stream;
  all().what = work.what.c_str();
  begin_work(watch_work(stream.device), stream.number, stream.begun, stream.known, work.what);
  try {
    work.run();
  } catch (const WorkEnds&) {
  }
  all().running = nullptr;
}

void run_next(CUstream_st& stream) {
  const CUstream_st::Work work = std::move(stream.queue.front());
  stream.queue.pop_front();
  join(stream.known, work.host);
  if (work.waits_for != nullptr) join(stream.known, work.waits_for->after);
  if (work.records != nullptr) *work.records = {true, stream.known, std::chrono::steady_clock::now()};
  if (work.run == nullptr) return;
  ++stream.begun;
  run_work(stream, work);
  stream.known.resize(std::max(stream.known.size(), stream.number + 1));
  stream.known[stream.number] = stream.begun;
}

// A piece of work of any stream; false: there is none.
bool run_some() {
  std::vector<cudaStream_t> ready;
  std::ranges::copy_if(all().streams, std::back_inserter(ready),
                       [](cudaStream_t stream) { return is_ready(*stream); });
  if (ready.empty()) return false;
  run_next(*ready[random_order().below(ready.size())]);
  return true;
}

template <class F>
void run_until(F&& reached) {
  if (reached()) return;
  const OpenMemory open;
  while (!reached()) check(run_some(), ErrorKind::internal, "emulated device: streams wait for each other");
}

// The host knows that these are done. When nothing is left that it does not know of, nothing can be out of order with
// what it queues next.
void host_knows(const Moment& moment) {
  join(all().host, moment);
  release_holds(all().host);
  const auto is_known = [](cudaStream_t s) {
    return s->queue.empty() &&
           (s->begun == 0 || (s->number < all().host.size() && all().host[s->number] == s->begun));
  };
  if (std::ranges::all_of(all().streams, is_known)) forget_history(next_stretch());
}

}  // namespace

std::recursive_mutex& api_mutex() { return all().mutex; }

Random& random_order() {
  static Random random(first_seed());
  return random;
}

void set_seed(uint64_t seed) {
  const std::lock_guard lock(api_mutex());
  random_order() = Random(seed);
}

cudaStream_t make_stream(int device) {
  all().streams.push_back(new CUstream_st{device, all().streams_made++});
  return all().streams.back();
}

bool is_stream(cudaStream_t stream) { return std::ranges::count(all().streams, stream) != 0; }

void destroy_stream(cudaStream_t stream) {
  wait_for(stream);
  std::erase(all().streams, stream);
  delete stream;
}

cudaEvent_t make_event(int device, bool timed) {
  auto* event = new CUevent_st{device, timed};
  all().events.insert(event);
  return event;
}

bool is_event(cudaEvent_t event) { return all().events.contains(event); }

void destroy_event(cudaEvent_t event) {
  all().events.erase(event);
  delete event;
}

void queue_work(cudaStream_t stream, std::string what, std::function<void()> run) {
  ++stream->queued;
  stream->queue.push_back({std::move(what), std::move(run), nullptr, nullptr, all().host});
}

void queue_wait(cudaStream_t stream, cudaEvent_t event) {
  if (event->latest != nullptr) stream->queue.push_back({"", nullptr, nullptr, event->latest, all().host});
}

void queue_record(cudaStream_t stream, cudaEvent_t event) {
  event->latest = std::make_shared<Record>();
  stream->queue.push_back({"", nullptr, event->latest, nullptr, all().host});
}

void wait_for(cudaStream_t stream) {
  run_until([&] { return stream->queue.empty(); });
  host_knows(stream->known);
}

void wait_for(cudaEvent_t event) {
  if (event->latest == nullptr) return;
  run_until([&] { return event->latest->passed; });
  host_knows(event->latest->after);
}

void wait_for_device(int device) {
  for (size_t i = 0; i < all().streams.size(); ++i)
    if (all().streams[i]->device == device) wait_for(all().streams[i]);
}

bool is_done(cudaStream_t stream) {
  const OpenMemory open;
  run_some();
  if (stream->queue.empty()) host_knows(stream->known);
  return stream->queue.empty();
}

bool is_done(cudaEvent_t event) {
  if (event->latest == nullptr) return true;
  const OpenMemory open;
  run_some();
  if (event->latest->passed) host_knows(event->latest->after);
  return event->latest->passed;
}

cudaStream_t running_stream() { return all().running; }
const char* running_work() { return all().what; }

cudaError_t& sticky_error(int device) { return all().errors[static_cast<size_t>(device)]; }

void queue(cudaStream_t stream, const char* what, std::function<void()> work) {
  const std::lock_guard lock(api_mutex());
  queue_work(stream, what, std::move(work));
}

}  // namespace tensor::cuda::emulation
