#include "tensor/cuda/emulation/shared_memory.h"

#include <sys/mman.h>

#include <vector>

#include "tensor/cuda/emulation/block.h"
#include "tensor/cuda/emulation/cuda_device.h"
#include "tensor/cuda/emulation/report.h"
#include "tensor/cuda/emulation/watch.h"
#include "tensor/error.h"

namespace tensor::cuda::emulation {
namespace {

constexpr size_t kApart = size_t{1} << 18;  // more than a block may have
constexpr size_t kArrays = kSharedAddresses / kApart;
constexpr size_t kMostStatic = 48 << 10;  // nvcc's own limit

struct Array {
  const void* place;
  size_t bytes;
};
struct Shared {
  std::vector<Array> arrays;  // the first is the dynamic one
  size_t bytes = 0, dynamic = 0, most = 0;
};
Shared& shared_memory() {
  static Shared* const it = new Shared;
  return *it;
}

size_t offset_of(const void* address) {
  return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(shared_base());
}

void add_array(const Array& array) {
  Shared& shared = shared_memory();
  shared.arrays.push_back(array);
  shared.bytes += array.bytes;
  if (shared.arrays.size() <= kArrays && shared.bytes <= shared.most &&
      shared.bytes - shared.dynamic <= kMostStatic)
    return;
  report(cudaErrorInvalidConfiguration, std::to_string(shared.bytes) +
                                            " bytes of shared memory, where a block may have " +
                                            std::to_string(shared.most) + ", and " +
                                            std::to_string(kMostStatic) + " without the dynamic ones");
  end_launch();
}

}  // namespace

std::byte* shared_base() {
  static std::byte* const base = [] {
    void* range = ::mmap(nullptr, kSharedAddresses, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(range != MAP_FAILED, ErrorKind::cuda, "emulated device: no room for shared memory");
    return static_cast<std::byte*>(range);
  }();
  return base;
}

void begin_shared_memory(size_t dynamic_bytes, size_t most_bytes) {
  Shared& shared = shared_memory();
  shared.arrays.assign(1, {nullptr, dynamic_bytes});
  shared.bytes = shared.dynamic = dynamic_bytes;
  shared.most = most_bytes;
}

bool is_shared(const void* address, size_t bytes) {
  const size_t offset = offset_of(address), index = offset / kApart, within = offset % kApart;
  const auto& arrays = shared_memory().arrays;
  return index < arrays.size() && within <= arrays[index].bytes && bytes <= arrays[index].bytes - within;
}

std::string shared_address_text(const void* address) {
  const size_t offset = offset_of(address);
  if (offset >= kSharedAddresses) return {};
  const size_t index = offset / kApart, within = offset % kApart;
  const auto& arrays = shared_memory().arrays;
  if (index >= arrays.size()) return "in shared memory, where there is no array";
  const size_t bytes = arrays[index].bytes;
  const std::string array = " a shared array of " + std::to_string(bytes) + " bytes";
  return within < bytes ? "at byte " + std::to_string(within) + " of" + array
                        : std::to_string(within - bytes) + " bytes behind the end of" + array;
}

unsigned char* dynamic_shared_memory() { return reinterpret_cast<unsigned char*>(shared_base()); }

void* shared_array(const void* place, size_t bytes) {
  const OutOfKernel out;
  const auto& arrays = shared_memory().arrays;
  size_t i = 1;
  while (i < arrays.size() && arrays[i].place != place) ++i;
  if (i == arrays.size()) add_array({place, bytes});
  return shared_base() + i * kApart;
}

}  // namespace tensor::cuda::emulation
