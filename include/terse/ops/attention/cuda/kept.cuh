#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include <terse/device/warp.cuh>
#include <terse/ops/attention/cuda/tiles.cuh>
#include <terse/ops/dropout/op.hpp>

namespace terse::ops::gpu::attention {

/// What dropout's random words of a block's probabilities have in common. It lies in shared memory: were it the kernel's argument, compilers would work out
/// the keys of Philox's ten rounds before the loop over tiles, and keep them in registers that the sums need.
struct BlockDropout {
  Dropout dropout;
  std::uint32_t draw;
  int head;

  /// By one thread; the others read it after a barrier.
  __device__ void set(const Dropout& all, const Documents& documents, const Place& place, int of_head) {
    if (threadIdx.x == 0 && all.active()) dropout = all, draw = documents.draws[place.document], head = of_head;
  }
};

/// Kept::bits where nothing is dropped.
inline constexpr std::uint32_t everything = 0xFF;

/// Which probabilities of 16 queries x 16 keys dropout keeps. A Philox block is four keys of one query, so there are 64, two a lane: lane l draws those of
/// query l % 16 at keys 4 (l / 16) and 8 further, and whoever needs a bit asks for it. No block is drawn twice.
class Kept {
 public:
  /// `query` and `key` are the first ones' positions in the document.
  __device__ Kept(const BlockDropout& block, int query, int key, const Lane& lane) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto words = block.dropout.words(block.draw, block.head, query + lane.number % 16, key / 4 + lane.number / 16 + 2 * half);
#pragma unroll
      for (unsigned i = 0; i < 4; ++i) bits_ |= (words[i] >= block.dropout.drop_below ? 1u : 0u) << (4 * half + static_cast<int>(i));
    }
  }

  /// Bits 0 to 3: keys [key, key + 4) up to the next multiple of 4; bits 4 to 7: those 8 further. query in [0, 16), key in [0, 8). All lanes ask together.
  __device__ std::uint32_t bits(int query, int key) const { return __shfl_sync(device::all_lanes, bits_, query + key / 4 * 16) >> key % 4; }

 private:
  std::uint32_t bits_ = 0;
};

}  // namespace terse::ops::gpu::attention
