#pragma once

#include <cuda_runtime.h>

#include <terse/device/bounds.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/attention/cuda/kept.cuh>
#include <terse/ops/attention/cuda/products.cuh>
#include <terse/ops/attention/cuda/softmax.cuh>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu::attention {

template <class T, int D>
struct ForwardMemory {
  Tile<T, D> keys[2], values[2];
  Exchange<T> exchange[warps];
  BlockDropout dropout;
};

/// out and log_sums of block_rows queries of one document and head: a grid of (Documents::blocks, heads). `heads` says which keys and values a head reads.
template <class T, int D>
__global__ void __launch_bounds__(threads, blocks_per_sm<T, D>)
    forward(Documents documents, SharedHeads heads, Dropout dropout, RowsView<const T> qkv, RowsView<T> out, RowsView<float> log_sums) {
  constexpr int rows = tile_rows<T, D>, groups = rows / group;
  constexpr float scale = score_scale(D);
  const Place place(documents, static_cast<int>(blockIdx.x));
  if (!device::inside(place.first, place.length)) return;
  auto& memory = device::shared<ForwardMemory<T, D>>();
  const Lane lane;
  const int head = static_cast<int>(blockIdx.y), first = place.first + lane.warp * group;  // this warp's queries
  const int diagonal = device::inside(first, place.length) ? first : -group;               // the last group of keys they see
  const HeadRows<const T> queries(qkv, place, head * D), keys(qkv, place, heads.key<D>(head / heads.sharing)), values(qkv, place, heads.value<D>(head / heads.sharing));

  const OwnRows<T, D> own(queries, first, lane);
  float sums[D / 8][4] = {};
  RunningSoftmax softmax;
  memory.dropout.set(dropout, documents, place, head);
  for_each_tile<rows>(
      0, min(place.length, place.first + block_rows),
      [&](int key, int stage) { begin_copies(memory.keys[stage], keys, memory.values[stage], values, key); },
      [&](int key, int stage) {
        const int seen = min(groups, (diagonal - key) / group + 1);
        if (seen <= 0) return;
        float scores[groups][2][4] = {}, shrink[2];
#pragma unroll
        for (int n = 0; n < groups; ++n) {
          if (!device::inside(n, seen)) break;
          multiply_transposed(scores[n], own, memory.keys[stage], group * n, lane);
          if (key + group * n == diagonal) for_each_sum(lane, [&](int j, int i, int query, int column) { if (!device::up_to(column, query)) scores[n][j][i] = -INFINITY; });
        }
        softmax.take(scores, seen, scale * log2_e, shrink);
#pragma unroll
        for (int n = 0; n < D / 8; ++n) sums[n][0] *= shrink[0], sums[n][1] *= shrink[0], sums[n][2] *= shrink[1], sums[n][3] *= shrink[1];
#pragma unroll
        for (int n = 0; n < groups; ++n) {
          if (!device::inside(n, seen)) continue;  // not break: for 10.0 and 12.0 nvcc 13 would then keep scores in memory
          if (dropout.active()) {
            const Kept kept(memory.dropout, first, key + group * n, lane);
            const std::uint32_t bits[2] = {kept.bits(lane.row, lane.column), kept.bits(lane.row + 8, lane.column)};
            for_each_sum(lane, [&](int j, int i, int, int) { if ((bits[i / 2] >> (4 * j + i % 2) & 1) == 0) scores[n][j][i] = 0; });
          }
          multiply(sums, scores[n], memory.values[stage], group * n, memory.exchange[lane.warp], lane);
        }
      });

  if (diagonal < 0) return;
  const float totals[2] = {sum_of_row(softmax.sum[0]), sum_of_row(softmax.sum[1])};
  const float factors[2] = {dropout.scale / totals[0], dropout.scale / totals[1]};
  store_rows<T, D>(HeadRows<T>(out, place, head * D), first, sums, factors, lane);
  if (lane.column != 0) return;
  const HeadRows<float> head_log_sums(log_sums, place, head);
  for (int r = 0; r < 2; ++r)
    if (const int row = first + lane.row + 8 * r; device::inside(row, place.length)) *head_log_sums[row] = softmax.largest[r] * scale + logf(totals[r]);
}

}  // namespace terse::ops::gpu::attention
