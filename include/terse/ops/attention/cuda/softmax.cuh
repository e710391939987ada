#pragma once
/// The softmax of attention's scores, on sums that lie as mma's accumulators do.

#include <cmath>

#include <cuda_runtime.h>

#include <terse/device/warp.cuh>
#include <terse/ops/attention/cuda/tiles.cuh>

namespace terse::ops::gpu::attention {

/// Exponents are to base 2, as the hardware has them: exp(x) = exp2(x log2_e).
inline constexpr float log2_e = 1.44269504088896341f;

/// 1 / sqrt(D), at compile time (std::sqrt isn't constexpr): Newton's steps fall until they stand still.
constexpr float score_scale(int D) {
  double root = D;
  for (double next = (root + 1) / 2; next < root; next = (root + D / root) / 2) root = next;
  return static_cast<float>(1 / root);
}

/// The sum of a row's four lanes, each of which gets it.
__device__ inline float sum_of_row(float value) {
  for (int distance = 1; distance < 4; distance *= 2) value += __shfl_xor_sync(device::all_lanes, value, distance);
  return value;
}
/// Their largest.
__device__ inline float largest_of_row(float value) {
  for (int distance = 1; distance < 4; distance *= 2) value = fmaxf(value, __shfl_xor_sync(device::all_lanes, value, distance));
  return value;
}

/// What a lane knows of the softmax of its two rows, `row` and row + 8, whose scores come group by group.
struct RunningSoftmax {
  float largest[2] = {-INFINITY, -INFINITY};  ///< score so far, before scaling; the same in a row's four lanes
  float sum[2] = {};                          ///< this lane's part of the sum of exp((score - largest) scale)

  /// The first `groups` groups: scores -> exp((score - largest) scale). What was summed with the result before is to be multiplied by `shrink`.
  template <int most>
  __device__ void take(float (&scores)[most][2][4], int groups, float scale_log2, float (&shrink)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float seen = largest[r];
#pragma unroll
      for (int n = 0; n < most; ++n)
        if (n < groups) seen = fmaxf(seen, fmaxf(fmaxf(scores[n][0][2 * r], scores[n][0][2 * r + 1]), fmaxf(scores[n][1][2 * r], scores[n][1][2 * r + 1])));
      seen = largest_of_row(seen);
      shrink[r] = exp2f((largest[r] - seen) * scale_log2);
      largest[r] = seen;
      sum[r] *= shrink[r];
#pragma unroll
      for (int n = 0; n < most; ++n)
        if (n < groups) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            float& score = scores[n][i / 2][2 * r + i % 2];
            score = exp2f((score - seen) * scale_log2);
            sum[r] += score;
          }
        }
    }
  }
};

}  // namespace terse::ops::gpu::attention
