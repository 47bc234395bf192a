// What the lanes of a warp do together.
#pragma once

namespace tensor::cuda::emulation {

// How a lane finds the one that it hears from its own number and what it says; votes are heard from all, and a wait is
// for their order alone.
enum class Exchange { from_lane, from_below, from_above, from_xor, votes, nothing };

}  // namespace tensor::cuda::emulation
