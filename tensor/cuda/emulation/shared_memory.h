// The shared memory of the block that runs: each array lies alone, so that what is behind its end is not the next.
#pragma once

#include <cstddef>
#include <string>

namespace tensor::cuda::emulation {

inline constexpr size_t kSharedAddresses = size_t{1} << 24;
std::byte* shared_base();

// Forgets the arrays of the last block. `most_bytes`: what all arrays may have together, the dynamic one included.
void begin_shared_memory(size_t dynamic_bytes, size_t most_bytes);

// Whether all the bytes are in one array.
bool is_shared(const void* address, size_t bytes);
// "4 bytes behind the end of a shared array of 1024 bytes"; empty: it is no shared memory.
std::string shared_address_text(const void* address);

}  // namespace tensor::cuda::emulation
