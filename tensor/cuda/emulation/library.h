// For libraries of which the emulated device has a stand-in (cuBLASLt): their work goes on a stream like a kernel's, and
// what it touches is watched like a kernel's accesses.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>

namespace tensor::cuda::emulation {

// Queues `work` on a stream. It runs at a wait, after what was queued there before. `what` names it in reports.
void queue(cudaStream_t stream, const char* what, std::function<void()> work);

// Called by such work before it reads or writes `bytes` bytes: they must lie in one block of the memory of the stream's
// device, and what is read must have been written. Otherwise the work ends there with a report, as a kernel would.
void will_read(const void* address, size_t bytes);
void will_write(void* address, size_t bytes);

}  // namespace tensor::cuda::emulation
