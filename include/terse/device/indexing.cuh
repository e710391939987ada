#pragma once
/// Which values a thread works on, and the launch that goes with it.

#include <cuda_runtime.h>

#include <terse/core/shape.hpp>
#include <terse/device/launch.cuh>
#include <terse/device/warp.cuh>

namespace terse::device {

/// Threads of a block wherever nothing speaks for another number: 8 warps; the 1024 threads of a T4's SM are 4 such blocks.
inline constexpr int block_threads = 256;

/// The first of this thread's `each` values, where a launch has one thread for so many.
__device__ inline Index first_value(int each) { return (Index{blockIdx.x} * block_threads + threadIdx.x) * each; }

/// A thread for every `each` of n values.
inline Launch threads_for(Index n, int each) { return {.blocks = grid(divide_up(n, Index{block_threads} * each)), .threads = dim3(block_threads)}; }

/// Where each row is a warp's: this one's row, and the calling thread's place in the warp.
__device__ inline Index row_of_warp() { return Index{blockIdx.x} * (block_threads / warp_lanes) + threadIdx.x / warp_lanes; }
__device__ inline int lane() { return static_cast<int>(threadIdx.x % warp_lanes); }

/// A warp for every row: a row's lanes read side by side, its sums need no shared memory, and no index is divided.
inline Launch warps_for(Index rows) { return {.blocks = grid(divide_up(rows, Index{block_threads / warp_lanes})), .threads = dim3(block_threads)}; }

}  // namespace terse::device
