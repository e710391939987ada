#pragma once
/// How a block of attention divides its work, and where its rows are: each warp has 16 rows of its own (queries, or keys where keys' gradients are
/// summed); the other side's rows stream through shared memory, a tile at a time, the next one on its way while this one is worked on.

#include <cstdint>

#include <cuda_runtime.h>

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/bounds.cuh>
#include <terse/device/ptx.cuh>
#include <terse/device/warp.cuh>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu::attention {

inline constexpr int warps = 4, threads = warps * device::warp_lanes;
inline constexpr int group = 16;                  ///< rows that a warp multiplies at once
inline constexpr int block_rows = warps * group;  ///< a block's own rows

/// Rows of a streamed tile: 4 KiB or so, of which a block holds four, so that a T4's 64 KiB hold three blocks.
template <class T, int D>
inline constexpr int tile_rows = sizeof(T) * D <= 128 ? 2 * group : group;

/// Blocks that an SM is to hold, so that some compute while others wait: 65536 registers are 168 a thread for three blocks, 255 for two.
template <class T, int D>
inline constexpr int blocks_per_sm = sizeof(T) * D <= 128 ? 3 : 2;

/// Where this lane stands in a 16 x 8 accumulator of mma: its four sums are at rows `row` and row + 8, columns `column` and the next.
struct Lane {
  int warp = static_cast<int>(threadIdx.x) / device::warp_lanes;
  int number = static_cast<int>(threadIdx.x) % device::warp_lanes;
  int row = number / 4, column = number % 4 * 2;
};

/// Calls visit(j, i, row, column) for this lane's eight sums of 16 x 16: sums[j][i] is at that row and column.
template <class Visit>
__device__ inline void for_each_sum(const Lane& lane, Visit visit) {
#pragma unroll
  for (int j = 0; j < 2; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i) visit(j, i, lane.row + i / 2 * 8, 8 * j + lane.column + i % 2);
}

/// The documents of a batch; the arrays lie on the GPU.
struct Documents {
  const std::int32_t* cu_seqlens;
  const std::uint32_t* draws;
  Index count;

  /// Blocks that hold all tiles of all documents: document b's begin at block cu_seqlens[b] / block_rows + b, which leaves room for its last, partial one.
  Index blocks(Index tokens) const { return count == 0 ? 0 : tokens / block_rows + count; }
};

/// Which columns of qkv hold the keys and values that heads of queries share: behind those of all heads of queries.
struct SharedHeads {
  int queries, keys;               ///< heads of queries; of keys, and as many of values
  int sharing = queries / keys;    ///< heads of queries that read the same keys and values

  template <int D>
  __device__ Index key(int shared) const { return (queries + shared) * D; }
  template <int D>
  __device__ Index value(int shared) const { return (queries + keys + shared) * D; }
};

/// A block's rows: [first, first + block_rows) of a document that begins at row `start`; none if first >= length.
struct Place {
  int document, start, length, first;

  __device__ Place(const Documents& documents, int block) {
    int beyond = static_cast<int>(documents.count);
    document = 0;  // the last one whose blocks begin at or before this one
    while (beyond - document > 1) {
      const int middle = (document + beyond) / 2;
      if (documents.cu_seqlens[middle] / block_rows + middle <= block) document = middle;
      else beyond = middle;
    }
    start = documents.cu_seqlens[document];
    length = documents.cu_seqlens[document + 1] - start;
    first = (block - start / block_rows - document) * block_rows;
  }
};

/// One head's D columns of a document's rows. What is asked for beyond its end is its last row: finite where the document is, and never used.
template <class T>
struct HeadRows {
  T* data;
  int stride, length;

  __device__ HeadRows(RowsView<T> all, const Place& place, Index column) : data(all[place.start] + column), stride(static_cast<int>(all.columns)), length(place.length) {}
  __device__ T* operator[](int row) const { return data + Index{device::clamped(row, length)} * stride; }
};

/// Rows in shared memory. The 16 bytes between them put any eight rows' 16 bytes into different banks.
template <class T, int D>
struct alignas(16) Tile {
  static constexpr int rows = tile_rows<T, D>, values_per_copy = 16 / static_cast<int>(sizeof(T)), copies_per_row = D / values_per_copy;

  T values[rows][D + values_per_copy];
};

/// Begins to copy rows [first, first + rows) into two tiles, the block's threads together.
template <class T, int D>
__device__ inline void begin_copies(Tile<T, D>& left, const HeadRows<const T>& left_rows, Tile<T, D>& right, const HeadRows<const T>& right_rows, int first) {
  using Rows = Tile<T, D>;
#pragma unroll 1  // more at once take registers that the sums need
  for (int i = static_cast<int>(threadIdx.x); device::inside(i, Rows::rows * Rows::copies_per_row); i += threads) {
    const int row = i / Rows::copies_per_row, column = i % Rows::copies_per_row * Rows::values_per_copy;
    device::copy_async_16(&left.values[row][column], left_rows[first + row] + column);
    device::copy_async_16(&right.values[row][column], right_rows[first + row] + column);
  }
}

/// Calls work(row, stage) for each tile of rows in [first, end), which copy(row, stage) begins to load; two stages take turns.
template <int rows, class Copy, class Work>
__device__ inline void for_each_tile(int first, int end, Copy copy, Work work) {
  copy(first, 0);
  device::commit_copies();
  for (int row = first, stage = 0; device::inside(row, end); row += rows, stage ^= 1) {
    device::wait_for_copies<0>();
    __syncthreads();  // everybody's part of this tile is there, and nobody reads the one before any more
    if (device::inside(row + rows, end)) {
      copy(row + rows, stage ^ 1);
      device::commit_copies();
    }
    work(row, stage);
  }
}

}  // namespace terse::ops::gpu::attention
