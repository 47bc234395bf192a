// Copies and fills. The host's side is read or written when CUDA would: pinned memory when the work runs, other memory
// before the call returns.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "tensor/cuda/emulation/api.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/cuda/emulation/memory.h"
#include "tensor/cuda/emulation/pinned.h"
#include "tensor/cuda/emulation/report.h"
#include "tensor/cuda/emulation/watch.h"

namespace tensor::cuda::emulation {
namespace {

// `height` rows of `width` bytes, whose starts are `pitch` bytes apart.
struct Rows {
  std::byte* start;
  size_t pitch, width, height;
  int device = device_of(start);  // -1: the host

  std::byte* row(size_t i) const { return start + i * pitch; }
  size_t extent() const { return height == 0 ? 0 : (height - 1) * pitch + width; }
  bool exists() const { return device < 0 || memory_of(device).in_one_block(start, extent()); }
  bool is_pageable() const { return device < 0 && !is_pinned(start, extent()); }
};

// Where kernels don't run: what the host has put there is found again, and all else is zeros.
void copy_without_kernels(const Rows& to, const Rows& from) {
  const OpenMemory open;
  for (size_t i = 0; i < to.height; ++i) std::memmove(to.row(i), from.row(i), to.width);
}

// What the next work of the stream holds of the host's side of a copy.
using Held = std::vector<HeldPinned>;
void hold(Held& held, const Rows& host, CopyOf copy, const CUstream_st& stream) {
  if (host.device >= 0 || host.is_pageable()) return;
  const uint64_t work = stream.queued + 1;
  if (host.pitch == host.width)
    held.emplace_back(host.start, host.extent(), copy, stream.number, work);
  else
    for (size_t i = 0; i < host.height; ++i)
      held.emplace_back(host.row(i), host.width, copy, stream.number, work);
}

void copy_now(const Rows& to, const Rows& from, const Held& held) {
  if (std::ranges::any_of(held, &HeldPinned::was_overwritten))
    return report(cudaErrorIllegalAddress,
                  "the host wrote over pinned memory that this reads, without a wait for it");
  const OpenPinned open_to(to.start, to.extent()), open_from(from.start, from.extent());
  for (size_t i = 0; i < to.height; ++i) {
    if (from.device >= 0) check_read(from.device, from.row(i), from.width);
    if (to.device >= 0) check_write(to.device, to.row(i), to.width);
    std::memmove(to.row(i), from.row(i), to.width);
  }
}

bool fits(cudaMemcpyKind kind, bool from_device, bool to_device) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !from_device && !to_device;
    case cudaMemcpyHostToDevice:
      return !from_device && to_device;
    case cudaMemcpyDeviceToHost:
      return from_device && !to_device;
    case cudaMemcpyDeviceToDevice:
      return from_device && to_device;
    default:
      return true;
  }
}

cudaError_t copy(Rows to, Rows from, cudaMemcpyKind kind, cudaStream_t stream) {
  if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (to.width == 0 || to.height == 0) return cudaSuccess;
  if (to.width > to.pitch || from.width > from.pitch) return cudaErrorInvalidPitchValue;
  if (!fits(kind, from.device >= 0, to.device >= 0) || !to.exists() || !from.exists())
    return cudaErrorInvalidValue;
  if (counts_only()) {
    if (to.device < 0 || from.device < 0) copy_without_kernels(to, from);
    return cudaSuccess;
  }
  std::shared_ptr<std::vector<std::byte>> staged;
  if (from.is_pageable()) {
    staged = std::make_shared<std::vector<std::byte>>(from.start, from.start + from.extent());
    from.start = staged->data();
  }
  const auto held = std::make_shared<Held>();
  if (staged == nullptr) hold(*held, from, CopyOf::reads, *stream);
  hold(*held, to, CopyOf::writes, *stream);
  queue_work(stream, "cudaMemcpyAsync", [to, from, staged, held] { copy_now(to, from, *held); });
  if (to.is_pageable()) {
    wait_for(stream);
    return sticky_error(stream->device);
  }
  return cudaSuccess;
}

std::byte* bytes_at(const void* address) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(address));
}

}  // namespace
}  // namespace tensor::cuda::emulation

using namespace tensor::cuda::emulation;

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return api_call([&] {
    return copy({bytes_at(to), to_pitch, width, height}, {bytes_at(from), from_pitch, width, height}, kind,
                stream);
  });
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes,
                                cudaStream_t stream) {
  return api_call([&] {
    if (device_of(to) != to_device || device_of(from) != from_device) return cudaErrorInvalidValue;
    return copy({bytes_at(to), bytes, bytes, 1}, {bytes_at(from), bytes, bytes, 1}, cudaMemcpyDeviceToDevice,
                stream);
  });
}

cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  return api_call([&] {
    if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
    const int device = device_of(pointer);
    if (device < 0 || !memory_of(device).in_one_block(pointer, bytes)) return cudaErrorInvalidValue;
    if (counts_only()) return cudaSuccess;
    queue_work(stream, "cudaMemsetAsync", [=] {
      check_write(device, pointer, bytes);
      std::memset(pointer, value, bytes);
    });
    return cudaSuccess;
  });
}
