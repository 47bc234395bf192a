#include "tensor/cuda/driver/transfer.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "tensor/cuda/driver/bad_index.h"
#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/launches.h"
#include "tensor/cuda/driver/memory.h"
#include "tensor/cuda/driver/per_device.h"
#include "tensor/cuda/driver/pinned.h"
#include "tensor/cuda/driver/streams.h"
#include "tensor/cuda/launch.h"

namespace tensor::cuda {
namespace {

// Runs of the host's memory, read from the first to the last.
class Reading {
 public:
  explicit Reading(std::span<const HostBytes> sources) : left_(sources) {}

  // There have to be as many bytes left.
  void next(std::byte* to, int64_t bytes) {
    while (bytes > 0) {
      const int64_t piece = std::min(bytes, left_.front().bytes - read_);
      if (piece > 0) std::memcpy(to, left_.front().start + read_, static_cast<size_t>(piece));
      to += piece, bytes -= piece, read_ += piece;
      if (read_ == left_.front().bytes) left_ = left_.subspan(1), read_ = 0;
    }
  }

 private:
  std::span<const HostBytes> left_;
  int64_t read_ = 0;  // of the first
};

// Through one pinned block: what is queued on the copy stream reads that, not the caller's memory.
void upload_piece(Pinned& pinned, Device device, std::byte* target, Reading& source, int64_t bytes) {
  const cudaStream_t stream = copy_stream(device);
  const PinnedBlock block = pinned.take();
  const auto size = static_cast<size_t>(bytes);
  source.next(block.data, bytes);
  cudaError_t result = cudaMemcpyAsync(target, block.data, size, cudaMemcpyHostToDevice, stream);
  if (result == cudaSuccess) result = cudaEventRecord(block.read, stream);
  pinned.give_back(block);
  check_result(result, "copy", device);
}

Pinned& staging_for(Device device, int64_t bytes) {
  StagingMemory& staging = of_device<StagingMemory>(device.index);
  return bytes <= staging.small.bytes() ? staging.small : staging.large;
}

// Through pinned blocks, which are this object's until it goes.
class FetchOfDevice final : public Fetch {
 public:
  FetchOfDevice(Device device, const std::byte* source, int64_t bytes)
      : device_(device),
        pinned_(staging_for(device, bytes)),
        bytes_(static_cast<size_t>(bytes)),
        indices_(device) {
    const Launch launch{.op = "download", .device = device, .bytes = static_cast<double>(bytes)};
    const cudaStream_t stream = begin_launch(launch);
    cudaError_t result = cudaSuccess;
    for (int64_t at = 0; at < bytes && result == cudaSuccess; at += pinned_.bytes()) {
      const PinnedBlock& block = blocks_.emplace_back(pinned_.take());
      const auto size = static_cast<size_t>(std::min(bytes - at, pinned_.bytes()));
      result = cudaMemcpyAsync(block.data, source + at, size, cudaMemcpyDeviceToHost, stream);
      if (result == cudaSuccess) result = cudaEventRecord(block.read, stream);
    }
    end_launch(launch, result);
  }
  ~FetchOfDevice() override {
    for (const PinnedBlock& block : blocks_) pinned_.give_back(block);
  }

  const std::byte* wait() override {
    if (blocks_.empty() || !values_.empty()) return values_.data();
    const DeviceGuard guard(device_);
    check_result(cudaEventSynchronize(blocks_.back().read), "wait", device_);
    indices_.expect_none();
    values_.resize(bytes_);
    const auto piece = static_cast<size_t>(pinned_.bytes());
    for (size_t i = 0; i < blocks_.size(); ++i)
      std::memcpy(values_.data() + i * piece, blocks_[i].data, std::min(piece, bytes_ - i * piece));
    return values_.data();
  }

 private:
  const Device device_;
  Pinned& pinned_;
  const size_t bytes_;
  BadIndexReading indices_;  // its copy comes before the others
  std::vector<PinnedBlock> blocks_;
  std::vector<std::byte> values_;  // when they have been waited for
};

}  // namespace

void upload(Device device, std::byte* target, std::span<const HostBytes> sources, const std::byte* fresh) {
  const DeviceGuard guard(device);
  int64_t bytes = 0;
  for (const HostBytes& source : sources) bytes += source.bytes;
  count_launch({.op = "upload", .device = device, .bytes = static_cast<double>(bytes)});
  const cudaStream_t compute = compute_stream(device), copy = copy_stream(device);
  const uint64_t before =
      fresh != nullptr ? of_device<Memory>(device.index).work_before(fresh) : work_so_far(device);
  wait_for_work(copy, before, device, "copy");
  Pinned& pinned = staging_for(device, bytes);
  Reading reading(sources);
  for (int64_t at = 0; at < bytes; at += pinned.bytes())
    upload_piece(pinned, device, target + at, reading, std::min(bytes - at, pinned.bytes()));
  wait_for_stream(compute, copy, device, "copy");
}

void download(Device device, std::byte* target, const std::byte* source, int64_t bytes) {
  const Launch launch{.op = "download", .device = device, .bytes = static_cast<double>(bytes)};
  BadIndexReading indices(device);
  const cudaStream_t stream = begin_launch(launch);
  cudaError_t result =
      cudaMemcpyAsync(target, source, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream);
  if (result == cudaSuccess) result = cudaStreamSynchronize(stream);
  end_launch(launch, result);
  indices.expect_none();
}

std::unique_ptr<Fetch> fetch(Device device, const std::byte* source, int64_t bytes) {
  return std::make_unique<FetchOfDevice>(device, source, bytes);
}

void copy_within(Device device, std::byte* target, const std::byte* source, int64_t bytes) {
  const Launch launch{.op = "copy", .device = device, .bytes = 2 * static_cast<double>(bytes)};
  const cudaStream_t stream = begin_launch(launch);
  end_launch(launch,
             cudaMemcpyAsync(target, source, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream));
}

void copy_between(Device to, std::byte* target, Device from, const std::byte* source, int64_t bytes) {
  const Launch launch{.op = "copy_between", .device = to, .bytes = 2 * static_cast<double>(bytes)};
  const cudaStream_t from_stream = compute_stream(from), stream = begin_launch(launch);
  wait_for_stream(stream, from_stream, from, "copy");
  const cudaError_t result =
      cudaMemcpyPeerAsync(target, to.index, source, from.index, static_cast<size_t>(bytes), stream);
  wait_for_stream(from_stream, stream, to, "copy");  // what is released and written to there comes after it
  count_work(from);
  end_launch(launch, result);
}

}  // namespace tensor::cuda
