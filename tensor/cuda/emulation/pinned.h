// Memory of the host that a device may read and write by itself.
#pragma once

#include <cstddef>

namespace tensor::cuda::emulation {

void* allocate_pinned(size_t bytes);
bool release_pinned(void* start);  // false: none starts there
// Whether all the bytes are in one block of it.
bool is_pinned(const void* address, size_t bytes);

}  // namespace tensor::cuda::emulation
