// Streams and events.
#include <atomic>

#include "tensor/cuda/emulation/api.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/pinned.h"

using namespace tensor::cuda::emulation;

namespace {

std::atomic<int64_t> waited{0};

}  // namespace

int64_t tensor::cuda::emulation::waits() { return waited; }

cudaError_t cudaDeviceSynchronize() {
  return api_call([] {
    const int device = current_device();
    ++waited;
    wait_for_device(device);
    return sticky_error(device);
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return api_call([&] {
    if (stream == nullptr || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    *stream = make_stream(current_device());
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return api_call([&] {
    if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
    destroy_stream(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return api_call([&] {
    if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
    ++waited;
    wait_for(stream);
    return sticky_error(stream->device);
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return api_call([&] {
    if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
    return is_done(stream) ? sticky_error(stream->device) : cudaErrorNotReady;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return api_call([&] {
    if (!is_stream(stream) || !is_event(event)) return cudaErrorInvalidResourceHandle;
    if (flags != 0) return cudaErrorInvalidValue;
    queue_wait(stream, event);
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* context) {
  return api_call([&] {
    if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
    queue_work(stream, "cudaLaunchHostFunc", [=] {
      release_holds(stream->known);  // it may use what copies before it have brought
      function(context);
    });
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api_call([&] {
    if (event == nullptr || flags > (cudaEventBlockingSync | cudaEventDisableTiming))
      return cudaErrorInvalidValue;
    *event = make_event(current_device(), (flags & cudaEventDisableTiming) == 0);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return api_call([&] {
    if (!is_stream(stream) || !is_event(event) || event->device != stream->device)
      return cudaErrorInvalidResourceHandle;
    queue_record(stream, event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return api_call([&] {
    if (!is_event(event)) return cudaErrorInvalidResourceHandle;
    ++waited;
    wait_for(event);
    return sticky_error(event->device);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return api_call([&] {
    if (!is_event(event)) return cudaErrorInvalidResourceHandle;
    return is_done(event) ? sticky_error(event->device) : cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api_call([&] {
    const auto counts = [](cudaEvent_t event) {
      return is_event(event) && event->timed && event->latest != nullptr;
    };
    if (!counts(start) || !counts(end)) return cudaErrorInvalidResourceHandle;
    if (!is_done(start) || !is_done(end)) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(end->latest->time - start->latest->time).count();
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api_call([&] {
    if (!is_event(event)) return cudaErrorInvalidResourceHandle;
    destroy_event(event);
    return cudaSuccess;
  });
}
