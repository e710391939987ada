#pragma once
/// What the lanes of a warp do together. Every lane calls and every lane gets the result; orders are fixed.

#include <cuda_runtime.h>

namespace terse::device {

inline constexpr int warp_lanes = 32;
inline constexpr unsigned all_lanes = 0xFFFFFFFFu;

/// The lanes' sum.
template <class T>
__device__ inline T warp_sum(T value) {
  for (int distance = warp_lanes / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(all_lanes, value, distance);
  return value;
}

/// The lanes' largest.
template <class T>
__device__ inline T warp_max(T value) {
  for (int distance = warp_lanes / 2; distance > 0; distance /= 2) {
    const T other = __shfl_xor_sync(all_lanes, value, distance);
    value = other > value ? other : value;
  }
  return value;
}

}  // namespace terse::device
