#pragma once
// In the library's header's place: a launch names its kernel, so that it is compiled, and queues nothing.

#include <cstddef>
#include <type_traits>

#include <cuda_runtime.h>

#include <terse/core/shape.hpp>
#include <terse/device/cuda.cuh>

namespace terse::device {

struct Launch {
  dim3 blocks, threads;
  std::size_t shared_bytes = 0;
};

inline dim3 grid(Index x, Index y = 1, Index z = 1) {
  return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
}

inline void check(cudaError_t, const char*) {}

#if defined(__CUDACC_RTC__)
inline void launched(const void*, const Launch&) {}
#else
/// For a host program that wants to know: the kernel's address, which it is registered with, and its launch.
void launched(const void* kernel, const Launch& shape);
#endif

template <class... Parameters>
void launch(const Cuda&, void (*kernel)(Parameters...), const Launch& shape, std::type_identity_t<Parameters>...) {
  launched(reinterpret_cast<const void*>(kernel), shape);
}

}  // namespace terse::device
