#pragma once
/// Matrix products whose every output is summed in one fixed order over K, whatever the number of rows: what decoding on a GPU stands on. The
/// contract is ops/matmul/invariant.hpp's; the order is not the CPU's.
///
/// Decoding reads each weight once for a few rows, so bytes are all that counts: a warp reads 64 columns of w side by side and keeps 8 rows' sums.

#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/matmul/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

inline constexpr int invariant_warps = 8, invariant_columns = 2 * device::warp_lanes;

template <int rows>
struct InvariantPartials {
  float value[invariant_warps][rows][invariant_columns];
};

/// y = x w for `height` rows and 64 columns a block. K is cut into 8 slices, one a warp; an output is a chain of fused multiply-adds over each
/// slice, and the sum of the 8 in order. None of it depends on `height`.
template <int height, Real A, Real B, Real Y>
__global__ void invariant_product(RowsView<const A> x, const B* w, RowsView<Y> y) {
  constexpr int each = 4;
  auto& partials = device::shared<InvariantPartials<height>>();
  const int warp = static_cast<int>(threadIdx.x) / device::warp_lanes, lane = device::lane();
  const Index first_row = Index{blockIdx.y} * height, column = Index{blockIdx.x} * invariant_columns + 2 * lane;
  const Index slice = (x.columns / each + invariant_warps - 1) / invariant_warps * each, begin = warp * slice;
  const Index end = begin + slice < x.columns ? begin + slice : x.columns;
  float sum[height][2] = {};
  if (device::inside(column, y.columns))
    for (Index k = begin; device::inside(k, end); k += each) {
      float weights[each][2];
      for (int i = 0; i < each; ++i) device::load(weights[i], w + (k + i) * y.columns + column);
      for (int r = 0; r < height; ++r) {
        if (!device::inside(first_row + r, x.rows)) break;
        float values[each];
        device::load(values, x[first_row + r] + k);
        for (int i = 0; i < each; ++i)
          for (int c = 0; c < 2; ++c) sum[r][c] = fmaf(values[i], weights[i][c], sum[r][c]);
      }
    }
  for (int r = 0; r < height; ++r)
    for (int c = 0; c < 2; ++c) partials.value[warp][r][2 * lane + c] = sum[r][c];
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); device::inside(k, height * invariant_columns); k += invariant_warps * device::warp_lanes) {
    const Index row = first_row + k / invariant_columns, c = Index{blockIdx.x} * invariant_columns + k % invariant_columns;
    if (!device::inside(row, y.rows) ||
        !device::inside(c, y.columns))
      continue;
    float total = 0;
    for (int s = 0; s < invariant_warps; ++s) total += partials.value[s][k / invariant_columns][k % invariant_columns];
    y[row][c] = device::from_float<Y>(total);
  }
}

/// y = x wᵀ for `height` rows, a warp an output column: each lane a chain over every 32nd group of 4 values, then the lanes' tree.
template <int height, Real A, Real B, Real Y>
__global__ void invariant_product_transposed(RowsView<const A> x, const B* w, RowsView<Y> y) {
  constexpr int each = 4;
  const Index column = device::row_of_warp(), first_row = Index{blockIdx.y} * height;
  if (!device::inside(column, y.columns)) return;
  float sum[height] = {};
  for (Index k = device::lane() * each; device::inside(k, x.columns); k += device::warp_lanes * each) {
    float weights[each];
    device::load(weights, w + column * x.columns + k);
    for (int r = 0; r < height; ++r) {
      if (!device::inside(first_row + r, x.rows)) break;
      float values[each];
      device::load(values, x[first_row + r] + k);
      for (int i = 0; i < each; ++i) sum[r] = fmaf(values[i], weights[i], sum[r]);
    }
  }
  for (int r = 0; r < height; ++r) {
    if (!device::inside(first_row + r, x.rows)) break;
    const float total = device::warp_sum(sum[r]);
    if (device::lane() == 0) y[first_row + r][column] = device::from_float<Y>(total);
  }
}

template <int height, Real A, Real B, Real Y>
void multiply_invariant(const Cuda& cuda, RowsView<const A> x, const B* w, RowsView<Y> y) {
  device::launch(cuda, invariant_product<height, A, B, Y>,
                 {.blocks = device::grid(divide_up(y.columns, Index{invariant_columns}), divide_up(x.rows, Index{height})),
                  .threads = dim3(invariant_warps * device::warp_lanes),
                  .shared_bytes = sizeof(InvariantPartials<height>)},
                 x, w, y);
}

template <int height, Real A, Real B, Real Y>
void multiply_invariant_transposed(const Cuda& cuda, RowsView<const A> x, const B* w, RowsView<Y> y) {
  device::Launch shape = device::warps_for(y.columns);
  shape.blocks.y = static_cast<unsigned>(divide_up(x.rows, Index{height}));
  device::launch(cuda, invariant_product_transposed<height, A, B, Y>, shape, x, w, y);
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y = x w, batch-invariant; see ops/matmul/op.hpp. Moves sizeof(B) bytes a weight for every 8 rows.
template <Real A, Real B, Real Y, Index In, Index Out>
void invariant_matmul(const Cuda& cuda, Rows<A, In> x, Matrix<B, In, Out> w, Rows<Y, Out> y) {
  static_assert(In % 8 == 0 && Out % 8 == 0, "terse: on CUDA widths are multiples of 8");
  using Left = std::remove_const_t<A>;
  using Right = std::remove_const_t<B>;
  if (x.rows == 1) gpu::multiply_invariant<1, Left, Right, Y>(cuda, view_of(x), w.data, view_of(y));
  else gpu::multiply_invariant<8, Left, Right, Y>(cuda, view_of(x), w.data, view_of(y));
}

/// y = x wᵀ, batch-invariant; see ops/matmul/op.hpp. Moves sizeof(B) bytes a weight for every 8 rows.
template <Real A, Real B, Real Y, Index In, Index Out>
void invariant_matmul_transposed(const Cuda& cuda, Rows<A, In> x, Matrix<B, Out, In> w, Rows<Y, Out> y) {
  static_assert(In % 8 == 0, "terse: on CUDA widths are multiples of 8");
  using Left = std::remove_const_t<A>;
  using Right = std::remove_const_t<B>;
  if (x.rows == 1) gpu::multiply_invariant_transposed<1, Left, Right, Y>(cuda, view_of(x), w.data, view_of(y));
  else gpu::multiply_invariant_transposed<8, Left, Right, Y>(cuda, view_of(x), w.data, view_of(y));
}

}  // namespace terse::ops
