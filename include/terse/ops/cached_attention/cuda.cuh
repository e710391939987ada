#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/cached_attention/op.hpp>

namespace terse::ops::gpu {

/// Keys and values of the rows enter the cache: a block a row.
template <Real T, Real K, Index heads, Index context, Index D>
__global__ void fill_cache(RowsView<const T> qkv, Index first_key, const std::int32_t* slots, const std::int32_t* positions, KeyValueCache<K, heads, context, D> cache) {
  constexpr int each = device::values_per_access<T, K>;
  const Index r = blockIdx.x, slot = slots[r], position = positions[r];
  for (Index c = Index{threadIdx.x} * each; device::inside(c, heads * D); c += device::block_threads * each) {
    float values[each];
    device::load(values, qkv[r] + first_key + c);
    device::store(cache.key(slot, c / D, position) + c % D, values);
    device::load(values, qkv[r] + first_key + heads * D + c);
    device::store(cache.value(slot, c / D, position) + c % D, values);
  }
}

template <Index context, Index D>
struct CachedAttentionShared {
  static constexpr int lanes = static_cast<int>(D) / 4, groups = device::block_threads / lanes;  // a group's threads share out a value's D numbers

  float query[D];
  float scores[context];
  float results[groups][D];
  float warps[device::block_threads / device::warp_lanes];
};

/// The sum (or the largest) over the block's threads, for every thread; in an order that is the warps'.
template <bool largest>
__device__ inline float over_block(float value, float* warps) {
  const float mine = largest ? device::warp_max(value) : device::warp_sum(value);
  __syncthreads();  // the last result has been read
  if (device::lane() == 0) warps[threadIdx.x / device::warp_lanes] = mine;
  __syncthreads();
  float result = warps[0];
  for (int w = 1; w < device::block_threads / device::warp_lanes; ++w) result = largest ? (warps[w] > result ? warps[w] : result) : result + warps[w];
  return result;
}

/// A block a row and head of queries, `sharing` of which have the same keys and values: scores by a thread a key, then the weighted sum of values by groups of threads, every group's keys in order and the
/// groups in order. It depends on the number of keys alone.
template <Real T, Real K, Index heads, Index context, Index D>
__global__ void cached_attention(RowsView<const T> qkv, Index sharing, const std::int32_t* slots, const std::int32_t* positions, const std::int32_t* sources,
                                 KeyValueCache<K, heads, context, D> cache, float scale, RowsView<T> out) {
  using Shared = CachedAttentionShared<context, D>;
  constexpr int each = 4;
  auto& shared = device::shared<Shared>();
  const Index r = blockIdx.x, head = blockIdx.y, shared_head = head / sharing, slot = slots[r], keys = positions[r] + 1;
  const auto source = [&](Index j) { return sources == nullptr ? slot : Index{sources[slot * context + j]}; };
  for (Index d = threadIdx.x; device::inside(d, D); d += device::block_threads) shared.query[d] = device::to_float(qkv[r][head * D + d]);
  __syncthreads();

  float largest = -std::numeric_limits<float>::infinity();
  for (Index j = threadIdx.x; device::inside(j, keys); j += device::block_threads) {
    const K* const key = cache.key(source(j), shared_head, j);
    float score = 0;
    for (Index d = 0; d < D; d += each) {
      float values[each];
      device::load(values, key + d);
      for (int i = 0; i < each; ++i) score = fmaf(shared.query[d + i], values[i], score);
    }
    shared.scores[j] = score;
    largest = score > largest ? score : largest;
  }
  largest = over_block<true>(largest, shared.warps);
  float sum = 0;
  for (Index j = threadIdx.x; device::inside(j, keys); j += device::block_threads) sum += shared.scores[j] = expf((shared.scores[j] - largest) * scale);
  sum = over_block<false>(sum, shared.warps);  // its barriers also show every thread the scores

  const int group = static_cast<int>(threadIdx.x) / Shared::lanes, d = static_cast<int>(threadIdx.x) % Shared::lanes * each;
  if (device::inside(group, Shared::groups)) {
    float result[each] = {};
    for (Index j = group; device::inside(j, keys); j += Shared::groups) {
      float values[each];
      device::load(values, cache.value(source(j), shared_head, j) + d);
      for (int i = 0; i < each; ++i) result[i] = fmaf(shared.scores[j], values[i], result[i]);
    }
    for (int i = 0; i < each; ++i) shared.results[group][d + i] = result[i];
  }
  __syncthreads();
  for (Index c = threadIdx.x; device::inside(c, D); c += device::block_threads) {
    float total = 0;
    for (int g = 0; g < Shared::groups; ++g) total += shared.results[g][c];
    out[r][head * D + c] = device::from_float<T>(total / sum);
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// Keys and values of the rows enter the cache, and out follows; the contract stands in ops/cached_attention/op.hpp. Moves 2 D sizeof(K) bytes a
/// key, row and head.
template <Real T, Real K, Index heads, Index context, Index D, Index columns, Index C>
void forward(const Cuda& cuda, CachedAttention, CacheRows rows, Rows<T, columns> qkv, KeyValueCache<K, heads, context, D> cache, Rows<T, C> out) {
  static_assert(C % (heads * D) == 0 && columns == C + 2 * heads * D);
  static_assert(D % 8 == 0 && D / 4 <= device::block_threads, "terse: cached attention on CUDA: the size of a head is a multiple of 8, at most 1024");
  device::launch(cuda, gpu::fill_cache<T, K, heads, context, D>, {.blocks = device::grid(qkv.rows), .threads = dim3(device::block_threads)}, view_of(qkv), C, rows.slots.data(),
                 rows.positions.data(), cache);
  device::launch(cuda, gpu::cached_attention<T, K, heads, context, D>,
                 {.blocks = device::grid(qkv.rows, C / D), .threads = dim3(device::block_threads), .shared_bytes = sizeof(gpu::CachedAttentionShared<context, D>)}, view_of(qkv),
                 C / (heads * D), rows.slots.data(), rows.positions.data(), rows.sources, cache, 1 / std::sqrt(static_cast<float>(D)), view_of(out));
}

}  // namespace terse::ops
