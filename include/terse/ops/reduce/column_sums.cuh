#pragma once
/// Sums over the rows of a matrix, column by column, in an order that depends on nothing but the number of rows: rows are cut into at most
/// 64 chunks, a block sums one chunk of some columns, and a second kernel adds up the chunks in order. No atomics.

#include <cstddef>

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>

namespace terse::ops {

/// Bytes of workspace that `sums` sums over each of so many columns take.
constexpr std::size_t column_sums_workspace(Index columns, int sums) {
  return static_cast<std::size_t>(64 * columns * sums) * sizeof(float);
}

}  // namespace terse::ops

namespace terse::ops::gpu {

inline constexpr Index most_chunks = 64, least_chunk_rows = 32;
inline constexpr int column_warps = device::block_threads / device::warp_lanes;

template <int sums, int each>
struct WarpSums {
  float value[column_warps][sums][each][device::warp_lanes];
};

/// partial[chunk][s][c] = sum over the chunk's rows t of term s of (t, c). `terms(values, t, c)` gives those of `each` columns from c.
template <int sums, int each, class Terms>
__global__ void sum_chunks(Terms terms, Index rows, Index columns, Index chunk_rows, float* partial) {
  auto& warps = device::shared<WarpSums<sums, each>>();
  const int warp = static_cast<int>(threadIdx.x) / device::warp_lanes, lane = device::lane();
  const Index first_column = Index{blockIdx.x} * device::warp_lanes * each, column = first_column + lane * each;
  const Index first_row = Index{blockIdx.y} * chunk_rows, last_row = first_row + chunk_rows < rows ? first_row + chunk_rows : rows;
  float total[sums][each] = {};
  if (device::inside(column, columns))
    for (Index t = first_row + warp; device::inside(t, last_row); t += column_warps) {
      float values[sums][each];
      terms(values, t, column);
      for (int s = 0; s < sums; ++s)
        for (int i = 0; i < each; ++i) total[s][i] += values[s][i];
    }
  for (int s = 0; s < sums; ++s)
    for (int i = 0; i < each; ++i) warps.value[warp][s][i][lane] = total[s][i];
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); device::inside(k, sums * each * device::warp_lanes); k += device::block_threads) {
    const int s = k / (each * device::warp_lanes), offset = k % (each * device::warp_lanes);
    if (!device::inside(first_column + offset, columns)) continue;
    float sum = 0;
    for (int w = 0; w < column_warps; ++w) sum += warps.value[w][s][offset % each][offset / each];
    partial[(Index{blockIdx.y} * sums + s) * columns + first_column + offset] = sum;
  }
}

template <Real G, int sums>
struct Sums {
  G* value[sums];
};

/// out.value[s][c] += sum over chunks of partial[chunk][s][c].
template <int sums, Real G>
__global__ void add_chunks(const float* partial, Index chunks, Index columns, Sums<G, sums> out) {
  const Index column = device::first_value(1);
  if (!device::inside(column, columns)) return;
  for (int s = 0; s < sums; ++s) {
    float sum = 0;
    for (Index chunk = 0; device::inside(chunk, chunks); ++chunk) sum += partial[(chunk * sums + s) * columns + column];
    out.value[s][column] = device::from_float<G>(device::to_float(out.value[s][column]) + sum);
  }
}

/// Adds the sums over all rows of the terms to `out`; see the top of this file.
template <int each, int sums, Real G, class Terms>
void add_column_sums(const Cuda& cuda, const Terms& terms, Index rows, Index columns, Sums<G, sums> out) {
  if (rows == 0) return;
  const Index even = divide_up(rows, most_chunks), chunk_rows = even > least_chunk_rows ? even : least_chunk_rows, chunks = divide_up(rows, chunk_rows);
  float* const partial = reinterpret_cast<float*>(cuda.workspace(column_sums_workspace(columns, sums)));
  device::launch(cuda, sum_chunks<sums, each, Terms>,
                 {.blocks = device::grid(divide_up(columns, Index{device::warp_lanes * each}), chunks), .threads = dim3(device::block_threads), .shared_bytes = sizeof(WarpSums<sums, each>)},
                 terms, rows, columns, chunk_rows, partial);
  device::launch(cuda, add_chunks<sums, G>, device::threads_for(columns, 1), partial, chunks, columns, out);
}

}  // namespace terse::ops::gpu
