#pragma once
/// CUDA's statuses as the library's errors.

#include <cuda_runtime.h>

#include <terse/core/error.hpp>

namespace terse::device {

/// Throws where a CUDA call failed; `what` is what was being done, in words.
/// Errors     Failure::device: "what: CUDA's own text"
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // else the next call reports it again
  fail(Failure::device, what, ": ", cudaGetErrorString(status));
}

}  // namespace terse::device
