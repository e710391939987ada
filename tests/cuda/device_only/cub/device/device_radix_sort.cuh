#pragma once
// In CUB's place: its kernels aren't the library's.

#include <cuda_runtime.h>

namespace cub {

struct DeviceRadixSort {
  template <class... Arguments>
  static cudaError_t SortPairs(const Arguments&...) {
    return {};
  }
};

}  // namespace cub
