#pragma once
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/dropout/cuda.cuh>
#include <terse/ops/reduce/cuda.cuh>
#include <terse/ops/residual/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

template <Real S, Real P>
__global__ void residual(BatchDropout dropout, RowsView<const S> x, RowsView<const S> branch, const P* bias, RowsView<S> y) {
  constexpr int each = device::values_per_access<S, P>;
  const Index t = device::row_of_warp();
  if (!device::inside(t, x.rows)) return;
  const auto row = dropout.row(t);
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each], joins[each], biases[each];
    device::load(values, x[t] + c);
    device::load(joins, branch[t] + c);
    if (bias != nullptr) {
      device::load(biases, bias + c);
      for (int i = 0; i < each; ++i) joins[i] += biases[i];
    }
    dropout.apply(joins, row, c);
    for (int i = 0; i < each; ++i) values[i] += joins[i];
    device::store(y[t] + c, values);
  }
}

template <Real X, Real Y>
__global__ void apply_dropout(BatchDropout dropout, RowsView<const X> x, RowsView<Y> y) {
  constexpr int each = device::values_per_access<X, Y>;
  const Index t = device::row_of_warp();
  if (!device::inside(t, x.rows)) return;
  const auto row = dropout.row(t);
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each];
    device::load(values, x[t] + c);
    dropout.apply(values, row, c);
    device::store(y[t] + c, values);
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y = x + dropout(branch + bias); the contract stands in ops/residual/op.hpp. Moves 3 sizeof(S) bytes a value.
template <Real S, Real P, Index C>
void residual(const Cuda& cuda, const PackedBatch& batch, const Dropout& dropout, Rows<const S, C> x, Rows<const S, C> branch, Vector<P, C> bias, Rows<S, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::residual<S, std::remove_const_t<P>>, device::warps_for(x.rows), gpu::BatchDropout(batch, dropout), view_of(x), view_of(branch), bias.data,
                 view_of(y));
}

/// y = x + dropout(branch). Moves 3 sizeof(S) bytes a value.
template <Real S, Index C>
void residual(const Cuda& cuda, const PackedBatch& batch, const Dropout& dropout, Rows<const S, C> x, Rows<const S, C> branch, Rows<S, C> y) {
  residual(cuda, batch, dropout, x, branch, Vector<const S, C>{}, y);
}

/// y += x. Moves sizeof(X) + 2 sizeof(Y) bytes a value.
template <Real X, Real Y, Index C>
void add(const Cuda& cuda, Rows<X, C> x, Rows<Y, C> y) {
  using In = std::remove_const_t<X>;
  device::launch(cuda, gpu::add<In, Y>, device::threads_for(y.size(), device::values_per_access<In, Y>), x.data, y.data, y.size());
}

/// y = dropout(x): the branch's gradient. In place if y is x. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Real X, Real Y, Index C>
void apply_dropout(const Cuda& cuda, const PackedBatch& batch, const Dropout& dropout, Rows<X, C> x, Rows<Y, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::apply_dropout<std::remove_const_t<X>, Y>, device::warps_for(x.rows), gpu::BatchDropout(batch, dropout), view_of(x), view_of(y));
}

}  // namespace terse::ops
