#pragma once
/// The contract stands in ops/gather/cpu.hpp. `rows` lies on the GPU.

#include <cstdint>
#include <span>
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/embedding/sorted_rows.cuh>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

/// y[n] = x[rows[n]] for n < count, 0 for the rows of y behind them.
template <Real X, Real Y>
__global__ void gather(RowsView<const X> x, const std::int32_t* rows, Index count, RowsView<Y> y) {
  constexpr int each = device::values_per_access<X, Y>;
  const Index n = device::row_of_warp();
  if (!device::inside(n, y.rows)) return;
  for (Index c = device::lane() * each; device::inside(c, y.columns); c += device::warp_lanes * each) {
    float values[each] = {};
    if (device::inside(n, count)) device::load(values, x[rows[n]] + c);
    device::store(y[n] + c, values);
  }
}

/// y[rows[n]] = x[n] for n < count.
template <Real X, Real Y>
__global__ void scatter(RowsView<const X> x, const std::int32_t* rows, Index count, Y* y) {
  constexpr int each = device::values_per_access<X, Y>;
  const Index n = device::row_of_warp();
  if (!device::inside(n, count)) return;
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each];
    device::load(values, x[n] + c);
    device::store(y + rows[n] * x.columns + c, values);
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y[n] = x[rows[n]], in y's dtype; rows of y behind those are zero. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Real X, Real Y, Index C>
void gather(const Cuda& cuda, Rows<X, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::gather<std::remove_const_t<X>, Y>, device::warps_for(y.rows), view_of(x), rows.data(), static_cast<Index>(rows.size()), view_of(y));
}

/// The same from a matrix of static size: an embedding of tokens.
template <Real X, Real Y, Index V, Index C>
void gather(const Cuda& cuda, Matrix<X, V, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  gather(cuda, Rows<X, C>{x.data, V}, rows, y);
}

/// Sets every row to zero. Moves sizeof(Y) bytes a value.
template <Real Y, Index C>
void clear(const Cuda& cuda, Rows<Y, C> y) {
  cuda.clear(y.data, static_cast<std::size_t>(y.size()) * sizeof(Y));
}

/// y[rows[n]] += x[n], in order of n. Moves sizeof(X) + 2 sizeof(Y) bytes a value. Workspace: sorted_rows_workspace(N).
template <Real X, Real Y, Index V, Index C>
void scatter_add(const Cuda& cuda, Rows<X, C> x, std::span<const std::int32_t> rows, Matrix<Y, V, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  gpu::add_rows<std::remove_const_t<X>, Y>(cuda, view_of(x.slice(0, static_cast<Index>(rows.size()))), rows, RowsView<Y>{y.data, V, C});
}

/// y[rows[n]] = x[n] for as many rows as are named; the other rows of y stay as they are. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Real X, Real Y, Index C>
void scatter(const Cuda& cuda, Rows<X, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  const auto count = static_cast<Index>(rows.size());
  device::launch(cuda, gpu::scatter<std::remove_const_t<X>, Y>, device::warps_for(count), view_of(x), rows.data(), count, y.data);
}

}  // namespace terse::ops
