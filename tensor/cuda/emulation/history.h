// Which work on streams comes before which, by what CUDA promises alone: the order within a stream, events, and that the host
// has waited before it queued. That it ran before proves nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tensor::cuda::emulation {

// By the number of a stream: how many of its works have ended.
using Moment = std::vector<uint64_t>;
void join(Moment& moment, const Moment& other);

// A work begins, the `count`th of a stream, after all of `known`. Its accesses are of stretches from this one on.
void begin_work(uint32_t stretch, size_t stream, uint64_t count, const Moment& known,
                const std::string& what);

// Whether the work to which a stretch of the past belongs comes before the one that runs.
bool comes_before(uint32_t stretch);
// "softmax on another stream"
std::string work_of(uint32_t stretch);

// The host has waited for everything: whatever comes is after that, and nobody asks for it again.
void forget_history(uint32_t next_stretch);

}  // namespace tensor::cuda::emulation
