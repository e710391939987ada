#pragma once
#include <cstdint>
#include <span>
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/device/warp.cuh>
#include <terse/ops/degeneration/op.hpp>

namespace terse::ops::gpu {

/// A warp a row.
template <Real T>
__global__ void __launch_bounds__(device::block_threads) fill_directions(RowsView<const T> hidden, int width, const std::int32_t* slots, const std::int32_t* positions, int context, RowsView<float> directions) {
  const Index r = device::row_of_warp();
  if (!device::inside(r, hidden.rows)) return;
  float* const direction = directions[Index{slots[r]} * context + positions[r]];
  float square = 0;
  for (int c = device::lane(); device::inside(c, width); c += device::warp_lanes) {
    const float value = device::to_float(hidden[r][c]);
    square = fmaf(value, value, square);
  }
  square = device::warp_sum(square);
  const float scale = square > 0 ? 1 / sqrtf(square) : 0;
  for (int c = device::lane(); device::inside(c, width); c += device::warp_lanes) direction[c] = device::to_float(hidden[r][c]) * scale;
}

struct DegenerationShared {
  float largest[device::block_threads / device::warp_lanes];
};

/// A block a row that is asked, a warp an earlier token.
template <Real S>
__global__ void __launch_bounds__(device::block_threads) degeneration(RowsView<const S> directions, int width, const std::int32_t* ask, const std::int32_t* slots,
                                                                      const std::int32_t* positions, const std::int32_t* sources, int context, S* penalties) {
  constexpr int warps = device::block_threads / device::warp_lanes;
  auto& shared = device::shared<DegenerationShared>();
  const int r = ask[blockIdx.x], position = positions[r], warp = static_cast<int>(threadIdx.x) / device::warp_lanes;
  const Index slot = slots[r];
  const float* const mine = directions[slot * context + position];
  float largest = -1;
  for (int j = warp; device::inside(j, position); j += warps) {
    const Index source = sources == nullptr ? slot : Index{sources[slot * context + j]};
    const float* const its = directions[source * context + j];
    float likeness = 0;
    for (int c = device::lane(); device::inside(c, width); c += device::warp_lanes) likeness = fmaf(mine[c], its[c], likeness);
    likeness = device::warp_sum(likeness);
    largest = likeness > largest ? likeness : largest;
  }
  if (device::lane() == 0) shared.largest[warp] = largest;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < warps; ++w) largest = shared.largest[w] > largest ? shared.largest[w] : largest;
  penalties[blockIdx.x] = largest;
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// The rows' directions, and the penalty of each row of `ask`; the contract stands in ops/degeneration/op.hpp. Moves 4 C bytes an earlier token and row that is asked.
template <Index context, Real T, Real S, Index C>
void degeneration(const Cuda& cuda, CacheRows rows, std::span<const std::int32_t> ask, Rows<T, C> hidden, Rows<S, C> directions, Column<S> penalties) {
  static_assert(std::is_same_v<S, float>, "terse: on CUDA directions are float");
  device::launch(cuda, gpu::fill_directions<std::remove_const_t<T>>, device::warps_for(hidden.rows), view_of(hidden), static_cast<int>(C), 
                 rows.slots.data(), rows.positions.data(), static_cast<int>(context), view_of(directions));
  device::launch(cuda, gpu::degeneration<float>, {.blocks = device::grid(static_cast<Index>(ask.size())), .threads = dim3(device::block_threads), .shared_bytes = sizeof(gpu::DegenerationShared)},
                 view_of(Rows<const float, C>(directions)), static_cast<int>(C), ask.data(), rows.slots.data(), rows.positions.data(), rows.sources, static_cast<int>(context), penalties.data);
}

}  // namespace terse::ops
