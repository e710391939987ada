#pragma once
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/swiglu/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

template <Real X, Real Y>
__global__ void swiglu_forward(RowsView<const X> x, RowsView<Y> y) {
  constexpr int each = device::values_per_access<X, Y>;
  const Index t = device::row_of_warp();
  if (!device::inside(t, y.rows)) return;
  const X* const gate = x[t];
  const X* const up = gate + y.columns;
  for (Index c = device::lane() * each; device::inside(c, y.columns); c += device::warp_lanes * each) {
    float gates[each], values[each];
    device::load(gates, gate + c);
    device::load(values, up + c);
    for (int i = 0; i < each; ++i) values[i] *= gates[i] / (1 + expf(-gates[i]));
    device::store(y[t] + c, values);
  }
}

template <Real X, Real Y, Real DY, Real DX>
__global__ void swiglu_backward(RowsView<const X> x, RowsView<Y> y, RowsView<const DY> dy, RowsView<DX> dx) {
  constexpr int each = device::values_per_access<X, Y, DY, DX>;
  const Index t = device::row_of_warp(), columns = y.columns;
  if (!device::inside(t, y.rows)) return;
  for (Index c = device::lane() * each; device::inside(c, columns); c += device::warp_lanes * each) {
    float gates[each], ups[each], slopes[each], values[each];
    device::load(gates, x[t] + c);
    device::load(ups, x[t] + columns + c);
    device::load(slopes, dy[t] + c);
    for (int i = 0; i < each; ++i) {
      const float open = 1 / (1 + expf(-gates[i])), value = gates[i] * open, dvalue = slopes[i] * ups[i];
      values[i] = value * ups[i];
      ups[i] = slopes[i] * value;
      gates[i] = dvalue * (open + value * (1 - open));
    }
    device::store(y[t] + c, values);
    device::store(dx[t] + c, gates);
    device::store(dx[t] + columns + c, ups);
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y = silu(gate) * up; the contract stands in ops/swiglu/op.hpp. Moves 2 sizeof(X) + sizeof(Y) bytes a value of y.
template <Real X, Real Y, Index M2, Index M>
void swiglu_forward(const Cuda& cuda, Rows<X, M2> x, Rows<Y, M> y) {
  static_assert(M2 == 2 * M);
  static_assert(M % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::swiglu_forward<std::remove_const_t<X>, Y>, device::warps_for(y.rows), view_of(x), view_of(y));
}

/// y again, and dx from dy. Moves 2 sizeof(X) + sizeof(Y) + sizeof(DY) + 2 sizeof(DX) bytes a value of y.
template <Real X, Real Y, Real DY, Real DX, Index M2, Index M>
void swiglu_backward(const Cuda& cuda, Rows<X, M2> x, Rows<Y, M> y, Rows<DY, M> dy, Rows<DX, M2> dx) {
  static_assert(M2 == 2 * M);
  static_assert(M % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::swiglu_backward<std::remove_const_t<X>, Y, std::remove_const_t<DY>, DX>, device::warps_for(y.rows), view_of(x), view_of(y), view_of(dy),
                 view_of(dx));
}

}  // namespace terse::ops
