// Indices that only a device can read. A kernel that meets a bad one goes on without it and leaves a note in the
// device's memory; whoever next waits for the device gets the error that the CPU's kernel gives at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tensor/cuda/driver/pinned.h"
#include "tensor/device.h"

namespace tensor::cuda {

// The note: of the first launch that met one, the bad index that comes first.
struct BadIndexNote {
  unsigned lock;
  unsigned long long launch;  // 0: there is none
  unsigned long long position, index;
};

// An argument of a kernel, which looks at its indices by is_good (tensor/cuda/bad_index.h).
struct IndexCheck {
  BadIndexNote* note;
  unsigned long long launch;  // counted from 1 on
};

// What is said of the index at a position.
using BadIndexText = std::function<std::string(int64_t index, int64_t position)>;

// For one launch. Errors: cuda.
IndexCheck check_indices(Device device, BadIndexText text);

// A device's note on its way to the host; nothing where no kernel has looked at indices since it last came.
class BadIndexReading {
 public:
  // Queues the copy behind what was launched on the device before. Errors: cuda.
  explicit BadIndexReading(Device device);
  ~BadIndexReading();
  BadIndexReading(const BadIndexReading&) = delete;
  BadIndexReading& operator=(const BadIndexReading&) = delete;

  // When the device has come so far. Errors: index, once for each note.
  void expect_none();

 private:
  const Device device_;
  PinnedBlock block_{};       // none: no copy
  uint64_t last_launch_ = 0;  // of those before the copy
};

}  // namespace tensor::cuda
