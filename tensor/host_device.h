// Marks functions of headers that device code shares: numbers and arithmetic, without the standard library's
// functions, Eigen or exceptions.
#pragma once

#if defined(__CUDACC__)
#define IMGCAP_HOST_DEVICE __host__ __device__
#else
#define IMGCAP_HOST_DEVICE
#endif
