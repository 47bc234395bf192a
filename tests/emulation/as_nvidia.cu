// Names, values and signatures of the emulated CUDA are NVIDIA's: this file compiles with both headers.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

static_assert(cudaSuccess == 0 && cudaErrorInvalidValue == 1 && cudaErrorMemoryAllocation == 2);
static_assert(cudaErrorInitializationError == 3 && cudaErrorCudartUnloading == 4);
static_assert(cudaErrorInvalidConfiguration == 9 && cudaErrorInvalidPitchValue == 12);
static_assert(cudaErrorInvalidHostPointer == 16 && cudaErrorInvalidDevicePointer == 17);
static_assert(cudaErrorInvalidMemcpyDirection == 21 && cudaErrorInsufficientDriver == 35);
static_assert(cudaErrorInvalidDeviceFunction == 98 && cudaErrorNoDevice == 100 &&
              cudaErrorInvalidDevice == 101);
static_assert(cudaErrorNoKernelImageForDevice == 209 && cudaErrorECCUncorrectable == 214);
static_assert(cudaErrorInvalidResourceHandle == 400 && cudaErrorNotReady == 600);
static_assert(cudaErrorIllegalAddress == 700 && cudaErrorLaunchOutOfResources == 701);
static_assert(cudaErrorLaunchTimeout == 702 && cudaErrorAssert == 710 && cudaErrorHardwareStackError == 714);
static_assert(cudaErrorIllegalInstruction == 715 && cudaErrorMisalignedAddress == 716);
static_assert(cudaErrorInvalidAddressSpace == 717 && cudaErrorInvalidPc == 718);
static_assert(cudaErrorLaunchFailure == 719 && cudaErrorNotSupported == 801 && cudaErrorUnknown == 999);

static_assert(cudaMemcpyHostToHost == 0 && cudaMemcpyHostToDevice == 1 && cudaMemcpyDeviceToHost == 2);
static_assert(cudaMemcpyDeviceToDevice == 3 && cudaMemcpyDefault == 4);
static_assert(cudaFuncAttributeMaxDynamicSharedMemorySize == 8);
static_assert(cudaFuncAttributePreferredSharedMemoryCarveout == 9);
static_assert(cudaDevAttrMaxThreadsPerBlock == 1 && cudaDevAttrMaxSharedMemoryPerBlock == 8);
static_assert(cudaDevAttrWarpSize == 10 && cudaDevAttrMultiProcessorCount == 16);
static_assert(cudaDevAttrComputeCapabilityMajor == 75 && cudaDevAttrComputeCapabilityMinor == 76);
static_assert(cudaDevAttrMaxSharedMemoryPerBlockOptin == 97);
static_assert(cudaStreamDefault == 0 && cudaStreamNonBlocking == 1);
static_assert(cudaEventDefault == 0 && cudaEventBlockingSync == 1 && cudaEventDisableTiming == 2);
static_assert(cudaHostAllocDefault == 0 && cudaHostAllocPortable == 1);

#define SAME_LAYOUT(type, size, alignment) static_assert(sizeof(type) == size && alignof(type) == alignment);
SAME_LAYOUT(uint3, 12, 4)
SAME_LAYOUT(dim3, 12, 4)
SAME_LAYOUT(float2, 8, 8)
SAME_LAYOUT(float4, 16, 16)
SAME_LAYOUT(double2, 16, 16)
SAME_LAYOUT(int2, 8, 8)
SAME_LAYOUT(int4, 16, 16)
SAME_LAYOUT(uint2, 8, 8)
SAME_LAYOUT(uint4, 16, 16)

// Of overloaded names the one with this signature.
#define SAME_SIGNATURE(name, result, ...) [[maybe_unused]] result (*const name##_)(__VA_ARGS__) = name;
SAME_SIGNATURE(cudaGetErrorName, const char*, cudaError_t)
SAME_SIGNATURE(cudaGetErrorString, const char*, cudaError_t)
SAME_SIGNATURE(cudaGetLastError, cudaError_t, )
SAME_SIGNATURE(cudaPeekAtLastError, cudaError_t, )
SAME_SIGNATURE(cudaDriverGetVersion, cudaError_t, int*)
SAME_SIGNATURE(cudaRuntimeGetVersion, cudaError_t, int*)
SAME_SIGNATURE(cudaGetDeviceCount, cudaError_t, int*)
SAME_SIGNATURE(cudaSetDevice, cudaError_t, int)
SAME_SIGNATURE(cudaGetDevice, cudaError_t, int*)
SAME_SIGNATURE(cudaGetDeviceProperties, cudaError_t, cudaDeviceProp*, int)
SAME_SIGNATURE(cudaDeviceGetAttribute, cudaError_t, int*, cudaDeviceAttr, int)
SAME_SIGNATURE(cudaDeviceSynchronize, cudaError_t, )
SAME_SIGNATURE(cudaMalloc, cudaError_t, void**, size_t)
SAME_SIGNATURE(cudaFree, cudaError_t, void*)
SAME_SIGNATURE(cudaMemGetInfo, cudaError_t, size_t*, size_t*)
SAME_SIGNATURE(cudaMallocHost, cudaError_t, void**, size_t)
SAME_SIGNATURE(cudaHostAlloc, cudaError_t, void**, size_t, unsigned)
SAME_SIGNATURE(cudaFreeHost, cudaError_t, void*)
SAME_SIGNATURE(cudaMemcpyAsync, cudaError_t, void*, const void*, size_t, cudaMemcpyKind, cudaStream_t)
SAME_SIGNATURE(cudaMemcpy2DAsync, cudaError_t, void*, size_t, const void*, size_t, size_t, size_t,
               cudaMemcpyKind, cudaStream_t)
SAME_SIGNATURE(cudaMemcpyPeerAsync, cudaError_t, void*, int, const void*, int, size_t, cudaStream_t)
SAME_SIGNATURE(cudaMemsetAsync, cudaError_t, void*, int, size_t, cudaStream_t)
SAME_SIGNATURE(cudaStreamCreateWithFlags, cudaError_t, cudaStream_t*, unsigned)
SAME_SIGNATURE(cudaStreamDestroy, cudaError_t, cudaStream_t)
SAME_SIGNATURE(cudaStreamSynchronize, cudaError_t, cudaStream_t)
SAME_SIGNATURE(cudaStreamQuery, cudaError_t, cudaStream_t)
SAME_SIGNATURE(cudaStreamWaitEvent, cudaError_t, cudaStream_t, cudaEvent_t, unsigned)
SAME_SIGNATURE(cudaLaunchHostFunc, cudaError_t, cudaStream_t, cudaHostFn_t, void*)
SAME_SIGNATURE(cudaEventCreateWithFlags, cudaError_t, cudaEvent_t*, unsigned)
SAME_SIGNATURE(cudaEventRecord, cudaError_t, cudaEvent_t, cudaStream_t)
SAME_SIGNATURE(cudaEventSynchronize, cudaError_t, cudaEvent_t)
SAME_SIGNATURE(cudaEventQuery, cudaError_t, cudaEvent_t)
SAME_SIGNATURE(cudaEventElapsedTime, cudaError_t, float*, cudaEvent_t, cudaEvent_t)
SAME_SIGNATURE(cudaEventDestroy, cudaError_t, cudaEvent_t)
SAME_SIGNATURE(cudaFuncSetAttribute, cudaError_t, const void*, cudaFuncAttribute, int)
static_assert(std::is_same_v<cudaStream_t, CUstream_st*> && std::is_same_v<cudaEvent_t, CUevent_st*>);

namespace tests {

// The device's functions take and give the same types.
template <class T>
__device__ void exchanges(T x) {
  static_assert(std::is_same_v<decltype(__shfl_sync(1u, x, 0)), T>);
  static_assert(std::is_same_v<decltype(__shfl_up_sync(1u, x, 1u)), T>);
  static_assert(std::is_same_v<decltype(__shfl_down_sync(1u, x, 1u, 16)), T>);
  static_assert(std::is_same_v<decltype(__shfl_xor_sync(1u, x, 1)), T>);
}
template <class T>
__device__ void atomics(T* at, T x) {
  static_assert(std::is_same_v<decltype(atomicAdd(at, x)), T> &&
                std::is_same_v<decltype(atomicMin(at, x)), T>);
  static_assert(std::is_same_v<decltype(atomicMax(at, x)), T> &&
                std::is_same_v<decltype(atomicExch(at, x)), T>);
  static_assert(std::is_same_v<decltype(atomicCAS(at, x, x)), T>);
}

__global__ void functions(int* out, unsigned* count, unsigned long long* sum) {
  exchanges(1);
  exchanges(1u);
  exchanges(1ll);
  exchanges(1ull);
  exchanges(1.0f);
  exchanges(1.0);
  atomics(out, 1);
  atomics(count, 1u);
  atomics(sum, 1ull);
  static_assert(std::is_same_v<decltype(threadIdx), const uint3> &&
                std::is_same_v<decltype(blockDim), const dim3>);
  static_assert(std::is_same_v<decltype(blockIdx), const uint3> &&
                std::is_same_v<decltype(gridDim), const dim3>);
  static_assert(std::is_same_v<decltype(__ballot_sync(1u, 1)), unsigned>);
  static_assert(std::is_same_v<decltype(__any_sync(1u, 1)), int> &&
                std::is_same_v<decltype(__all_sync(1u, 1)), int>);
  *out = __popc(7u) + __ffs(8) + __clz(1) + __float_as_int(rsqrtf(4.0f)) + min(1, 2) + max(1, 2);
  *out += static_cast<int>(__uint_as_float(__float_as_uint(1.0f)) + __int_as_float(0)) + __ldg(out);
  *out += static_cast<int>(rsqrt(4.0)) + atomicOr(out, 1) + static_cast<int>(atomicOr(count, 1u));
  __threadfence();
  __syncwarp();
  __syncthreads();
}

}  // namespace tests
