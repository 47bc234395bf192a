// Whether products of bf16 numbers are made in bf16 arithmetic here, or have to be emulated.
#pragma once

namespace tensor::cpu {

// True where oneDNN is built in and the processor has AVX512-BF16 (or AMX, which no processor has without
// it). DNNL_MAX_CPU_ISA, oneDNN's own variable, takes it away: AVX512_CORE, for example.
bool native_bf16();

}  // namespace tensor::cpu
