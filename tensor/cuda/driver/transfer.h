// Copies of bytes between the host and devices, and between devices. All are in the order of what was launched
// before and is launched after on the devices that they touch. Errors: cuda; what is copied to the host also has
// those of the kernels before it (index).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "tensor/cuda/runtime.h"
#include "tensor/device.h"

namespace tensor::cuda {

// A run of the host's memory.
struct HostBytes {
  const std::byte* start;
  int64_t bytes;
};

// From the host, one run behind the other: `sources` have been read when it returns, and the device is not waited for,
// unless more than pinned.h keeps is on its way. `fresh`: the block that the target lies in, where nothing was launched on it since
// it was allocated; then only what used it before is waited for, and kernels go on meanwhile. Else null.
void upload(Device device, std::byte* target, std::span<const HostBytes> sources, const std::byte* fresh);
// To the host: the bytes are there when it returns.
void download(Device device, std::byte* target, const std::byte* source, int64_t bytes);
// As Runtime::fetch.
std::unique_ptr<Fetch> fetch(Device device, const std::byte* source, int64_t bytes);
// Within a device.
void copy_within(Device device, std::byte* target, const std::byte* source, int64_t bytes);
void copy_between(Device to, std::byte* target, Device from, const std::byte* source, int64_t bytes);

}  // namespace tensor::cuda
