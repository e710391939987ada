#pragma once
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/gemm.hpp>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/reduce/column_sums.cuh>
#include <terse/ops/rms_norm/op.hpp>

namespace terse::ops::gpu {

/// y of one row from its statistic, by the lanes of a warp.
template <int each, Real X, Real P, Real Y>
__device__ inline void scale_row(const X* x, float r, const P* gain, Y* y, Index columns) {
  for (Index c = device::lane() * each; device::inside(c, columns); c += device::warp_lanes * each) {
    float values[each], gains[each];
    device::load(values, x + c);
    device::load(gains, gain + c);
    for (int i = 0; i < each; ++i) values[i] = values[i] * r * gains[i];
    device::store(y + c, values);
  }
}

// A row is read twice, but from memory once, as layer_norm_forward's are.
template <Real X, Real P, Real Y>
__global__ void rms_norm_forward(float epsilon, RowsView<const X> x, const P* gain, RowsView<Y> y, RmsNorm::Saved<float> saved) {
  constexpr int each = device::values_per_access<X, P, Y>;
  const Index t = device::row_of_warp();
  if (!device::inside(t, x.rows)) return;
  float squares = 0;
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each];
    device::load(values, x[t] + c);
    for (const float value : values) squares += value * value;
  }
  const float r = 1 / sqrtf(device::warp_sum(squares) / static_cast<float>(x.columns) + epsilon);
  scale_row<each>(x[t], r, gain, y[t], x.columns);
  if (device::lane() == 0) saved.r[t] = r;
}

template <Real X, Real P, Real Y>
__global__ void rms_norm_recompute(RowsView<const X> x, const P* gain, RmsNorm::Saved<float> saved, RowsView<Y> y) {
  const Index t = device::row_of_warp();
  if (device::inside(t, x.rows)) scale_row<device::values_per_access<X, P, Y>>(x[t], saved.r[t], gain, y[t], x.columns);
}

template <Real X, Real P, Real DY>
__global__ void rms_norm_backward(RowsView<const X> x, const P* gain, RmsNorm::Saved<float> saved, RowsView<const DY> dy, RowsView<float> dx, bool accumulate) {
  constexpr int each = 4;
  const Index t = device::row_of_warp();
  if (!device::inside(t, x.rows)) return;
  const float r = saved.r[t];
  float product = 0;
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each], slopes[each], gains[each];
    device::load(values, x[t] + c);
    device::load(slopes, dy[t] + c);
    device::load(gains, gain + c);
    for (int i = 0; i < each; ++i) product += slopes[i] * gains[i] * values[i];
  }
  const float along = device::warp_sum(product) * r * r / static_cast<float>(x.columns);
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each], slopes[each], gains[each], out[each] = {};
    device::load(values, x[t] + c);
    device::load(slopes, dy[t] + c);
    device::load(gains, gain + c);
    if (accumulate) device::load(out, dx[t] + c);
    for (int i = 0; i < each; ++i) out[i] += r * (slopes[i] * gains[i] - values[i] * along);
    device::store(dx[t] + c, out);
  }
}

/// The terms of the gain's gradient.
template <Real X, Real DY, int each>
struct RmsNormTerms {
  RowsView<const X> x;
  RowsView<const DY> dy;
  RmsNorm::Saved<float> saved;

  __device__ void operator()(float (&values)[1][each], Index t, Index c) const {
    const float r = saved.r[t];
    float slopes[each];
    device::load(values[0], x[t] + c);
    device::load(slopes, dy[t] + c);
    for (int i = 0; i < each; ++i) values[0][i] *= slopes[i] * r;
  }
};

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y and the saved statistic from x. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Real X, Real P, Real Y, Index C>
void forward(const Cuda& cuda, RmsNorm op, Rows<X, C> x, Vector<P, C> gain, Rows<Y, C> y, RmsNorm::Saved<Wide<X>> saved) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::rms_norm_forward<std::remove_const_t<X>, std::remove_const_t<P>, Y>, device::warps_for(x.rows), op.epsilon, view_of(x), gain.data, view_of(y),
                 saved);
}

/// y again, from x and the saved statistic. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Real X, Real P, Real Y, Index C>
void recompute(const Cuda& cuda, RmsNorm, Rows<X, C> x, Vector<P, C> gain, RmsNorm::Saved<Wide<X>> saved, Rows<Y, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::rms_norm_recompute<std::remove_const_t<X>, std::remove_const_t<P>, Y>, device::warps_for(x.rows), view_of(x), gain.data, saved, view_of(y));
}

/// dx. Moves sizeof(X) + sizeof(DY) + 4 bytes a value, 4 more where dx is added to.
template <Real X, Real P, Real DY, Index C>
void backward(const Cuda& cuda, RmsNorm, Rows<X, C> x, Vector<P, C> gain, RmsNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Rows<Wide<X>, C> dx, Write write) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::rms_norm_backward<std::remove_const_t<X>, std::remove_const_t<P>, std::remove_const_t<DY>>, device::warps_for(x.rows), view_of(x), gain.data,
                 saved, view_of(dy), view_of(dx), write == Write::accumulate);
}

/// dgain, which is added to. Moves sizeof(X) + sizeof(DY) bytes a value. Workspace: column_sums_workspace(C, 1).
template <Real X, Real DY, Real G, Index C>
void gain_gradient(const Cuda& cuda, RmsNorm, Rows<X, C> x, RmsNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Vector<G, C> dgain) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  using In = std::remove_const_t<X>;
  using Slope = std::remove_const_t<DY>;
  constexpr int each = device::values_per_access<In, Slope>;
  gpu::add_column_sums<each>(cuda, gpu::RmsNormTerms<In, Slope, each>{view_of(x), view_of(dy), saved}, x.rows, C, gpu::Sums<G, 1>{{dgain.data}});
}

}  // namespace terse::ops
