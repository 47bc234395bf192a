// Places in the program, kept as 32 bits with each access, and their lines in the source.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tensor::cuda::emulation {

// Of the call that returns to an address.
uint32_t place_of(const void* return_address);
// "tensor/cuda/softmax.cu:41", where there are lines (-g1) and addr2line (binutils); of a function that is part of another's
// code "tensor/cuda/device.h:77 in tensor/cuda/softmax.cu:41".
std::string line_of(uint32_t place);

// Whether the program has these bytes as constants, which kernels may read.
bool are_constants(const void* address, size_t bytes);

}  // namespace tensor::cuda::emulation
