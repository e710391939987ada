#pragma once
/// With m dropout's factors and delta[i] = dout[i] · out[i]:  dP = (dout vᵀ) m,  dS = P (dP - delta),  dq = dS k / sqrt(D),  dk = dSᵀ q / sqrt(D),
/// dv = (P m)ᵀ dout. Two kernels, each summing what its own rows get, so that nothing is added to from two sides (Dao 2023, FlashAttention-2).

#include <cuda_runtime.h>

#include <terse/device/bounds.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/attention/cuda/kept.cuh>
#include <terse/ops/attention/cuda/products.cuh>
#include <terse/ops/attention/cuda/softmax.cuh>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu::attention {

/// The two streamed sides of one product each: keys and values, or queries and the gradients of their outputs.
template <class T, int D>
struct BackwardMemory {
  Tile<T, D> left[2], right[2];
  Exchange<T> exchange[warps];
  BlockDropout dropout;
};

/// What all keys need of a query: (heads, T), written by backward_queries and read by backward_keys.
struct QueryTerms {
  float log2_sum;  ///< its log_sum to base 2
  float delta;
};

/// P of a score.
__device__ inline float probability(float score, float scale, const QueryTerms& query) { return exp2f(fmaf(score, scale * log2_e, -query.log2_sum)); }

/// dq and `terms` of block_rows queries of one document and head: a grid of (Documents::blocks, heads).
template <class T, int D>
__global__ void __launch_bounds__(threads, blocks_per_sm<T, D>)
    backward_queries(Documents documents, SharedHeads heads, Dropout dropout, RowsView<const T> qkv, RowsView<const T> out, RowsView<const float> log_sums, RowsView<const T> dout,
                     RowsView<T> dqkv, QueryTerms* terms) {
  constexpr int rows = tile_rows<T, D>, groups = rows / group;
  constexpr float scale = score_scale(D);
  const Place place(documents, static_cast<int>(blockIdx.x));
  if (!device::inside(place.first, place.length)) return;
  auto& memory = device::shared<BackwardMemory<T, D>>();
  const Lane lane;
  const int head = static_cast<int>(blockIdx.y), first = place.first + lane.warp * group;  // this warp's queries
  const int diagonal = device::inside(first, place.length) ? first : -group;               // the last group of keys they see
  const HeadRows<const T> queries(qkv, place, head * D), keys(qkv, place, heads.key<D>(head / heads.sharing)), values(qkv, place, heads.value<D>(head / heads.sharing));
  const HeadRows<const T> outs(out, place, head * D), douts(dout, place, head * D);

  QueryTerms own[2];
  for (int r = 0; r < 2; ++r) {
    const int row = first + lane.row + 8 * r;
    own[r] = {*HeadRows<const float>(log_sums, place, head)[row] * log2_e, sum_of_row(part_of_dot<D>(outs[row], douts[row], lane))};
    if (lane.column == 0 && device::inside(row, place.length)) terms[head * qkv.rows + place.start + row] = own[r];
  }
  const OwnRows<T, D> own_queries(queries, first, lane), own_douts(douts, first, lane);
  float dq[D / 8][4] = {};
  memory.dropout.set(dropout, documents, place, head);
  for_each_tile<rows>(
      0, min(place.length, place.first + block_rows),
      [&](int key, int stage) { begin_copies(memory.left[stage], keys, memory.right[stage], values, key); },
      [&](int key, int stage) {
#pragma unroll 1  // both groups at once would take more registers than there are
        for (int n = 0; n < groups; ++n) {
          if (!device::up_to(key + group * n, diagonal, group)) break;
          float scores[2][4] = {}, slopes[2][4] = {};
          multiply_transposed(scores, own_queries, memory.left[stage], group * n, lane);
          multiply_transposed(slopes, own_douts, memory.right[stage], group * n, lane);
          std::uint32_t bits[2] = {everything, everything};  // of this lane's two queries
          if (dropout.active()) {
            const Kept kept(memory.dropout, first, key + group * n, lane);
            for (int r = 0; r < 2; ++r) bits[r] = kept.bits(lane.row + 8 * r, lane.column);
          }
          const bool on_diagonal = key + group * n == diagonal;
          for_each_sum(lane, [&](int j, int i, int query, int column) {
            const bool is_kept = bits[i / 2] >> (4 * j + i % 2) & 1;
            const float slope = is_kept ? slopes[j][i] * dropout.scale : 0;
            slopes[j][i] = on_diagonal && !device::up_to(column, query) ? 0 : probability(scores[j][i], scale, own[i / 2]) * (slope - own[i / 2].delta);
          });
          multiply(dq, slopes, memory.left[stage], group * n, memory.exchange[lane.warp], lane);
        }
      });
  const float factors[2] = {scale, scale};
  store_rows<T, D>(HeadRows<T>(dqkv, place, head * D), first, dq, factors, lane);
}

/// dk and dv of block_rows keys of one document and head of keys and values, summed over the heads of queries that share it: a grid of (Documents::blocks,
/// heads.keys). Here a row of 16 x 16 sums is a key, a column a query. `sharing`: there is more than one such head of queries; a loop over them takes registers that
/// three blocks on an SM don't leave.
template <class T, int D, bool sharing>
__global__ void __launch_bounds__(threads, sharing ? 2 : blocks_per_sm<T, D>)
    backward_keys(Documents documents, SharedHeads heads, Dropout dropout, RowsView<const T> qkv, RowsView<const T> dout, RowsView<T> dqkv, const QueryTerms* terms) {
  constexpr int rows = tile_rows<T, D>, groups = rows / group;
  constexpr float scale = score_scale(D);
  const Place place(documents, static_cast<int>(blockIdx.x));
  if (!device::inside(place.first, place.length)) return;
  auto& memory = device::shared<BackwardMemory<T, D>>();
  const Lane lane;
  const int shared = static_cast<int>(blockIdx.y), first = place.first + lane.warp * group;  // this warp's keys
  const HeadRows<const T> keys(qkv, place, heads.key<D>(shared)), values(qkv, place, heads.value<D>(shared));

  const OwnRows<T, D, is_16_bit<T> && D <= 64> own_keys(keys, first, lane), own_values(values, first, lane);
  float dk[D / 8][4] = {}, dv[D / 8][4] = {};
  const int first_head = sharing ? shared * heads.sharing : shared, end = sharing ? first_head + heads.sharing : first_head + 1;
#pragma unroll 1
  for (int head = first_head; device::inside(head, end); ++head) {
    const HeadRows<const T> queries(qkv, place, head * D), douts(dout, place, head * D);
    const QueryTerms* const head_terms = terms + head * qkv.rows + place.start;
    if (head > first_head) __syncthreads();  // nobody reads the last head's tiles or dropout any more
    memory.dropout.set(dropout, documents, place, head);
    for_each_tile<rows>(
        place.first, place.length,
        [&](int query, int stage) { begin_copies(memory.left[stage], queries, memory.right[stage], douts, query); },
        [&](int tile, int stage) {
#pragma unroll 1
          for (int n = 0; n < groups; ++n) {
            const int query = tile + group * n;
            if (!device::up_to(first, query, group) ||
                !device::inside(query, place.length))
              continue;
            QueryTerms of[4];  // of this lane's queries: columns column, column + 1, and 8 further
            for (int i = 0; i < 4; ++i) of[i] = head_terms[device::clamped(query + lane.column + i % 2 + i / 2 * 8, place.length)];
            float probabilities[2][4] = {}, slopes[2][4] = {};
            multiply_transposed(probabilities, own_keys, memory.left[stage], group * n, lane);
            multiply_transposed(slopes, own_values, memory.right[stage], group * n, lane);
            std::uint32_t bits[4] = {everything, everything, everything, everything};
            if (dropout.active()) {
              const Kept kept(memory.dropout, query, first, lane);
              for (int i = 0; i < 4; ++i) bits[i] = kept.bits(lane.column + i % 2 + i / 2 * 8, lane.row);
            }
            const bool is_partial = query == first || !device::all_inside(query, group, place.length);
            for_each_sum(lane, [&](int j, int i, int key, int column) {
              const bool is_below = device::up_to(first + key, query + column);
              const bool is_seen = !is_partial || (is_below && device::inside(query + column, place.length)), is_kept = bits[2 * j + i % 2] >> (i / 2 * 4) & 1;
              const float p = is_seen ? probability(probabilities[j][i], scale, of[2 * j + i % 2]) : 0, slope = is_kept ? slopes[j][i] * dropout.scale : 0;
              probabilities[j][i] = is_kept ? p : 0;
              slopes[j][i] = is_seen ? p * (slope - of[2 * j + i % 2].delta) : 0;
            });
            multiply(dv, probabilities, memory.right[stage], group * n, memory.exchange[lane.warp], lane);
            multiply(dk, slopes, memory.left[stage], group * n, memory.exchange[lane.warp], lane);
          }
        });
  }
  const float key_factors[2] = {scale, scale}, value_factors[2] = {dropout.scale, dropout.scale};
  store_rows<T, D>(HeadRows<T>(dqkv, place, heads.key<D>(shared)), first, dk, key_factors, lane);
  store_rows<T, D>(HeadRows<T>(dqkv, place, heads.value<D>(shared)), first, dv, value_factors, lane);
}

}  // namespace terse::ops::gpu::attention
