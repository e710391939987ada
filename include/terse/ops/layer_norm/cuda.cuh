#pragma once
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/gemm.hpp>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/layer_norm/op.hpp>
#include <terse/ops/reduce/column_sums.cuh>

namespace terse::ops::gpu {

/// y of one row from its statistics, by the lanes of a warp.
template <int each, Real X, Real P, Real Y>
__device__ inline void normalize_row(const X* x, float mean, float rstd, const P* gain, const P* bias, Y* y, Index columns) {
  for (Index c = device::lane() * each; device::inside(c, columns); c += device::warp_lanes * each) {
    float values[each], gains[each], biases[each];
    device::load(values, x + c);
    device::load(gains, gain + c);
    device::load(biases, bias + c);
    for (int i = 0; i < each; ++i) values[i] = (values[i] - mean) * rstd * gains[i] + biases[i];
    device::store(y + c, values);
  }
}

// A row is read three times, but from memory once: the warps of an SM hold a few rows, which its L1 keeps. Keeping it in registers
// would need a kernel for each width.
template <Real X, Real P, Real Y>
__global__ void layer_norm_forward(float epsilon, RowsView<const X> x, const P* gain, const P* bias, RowsView<Y> y, LayerNorm::Saved<float> saved) {
  constexpr int each = device::values_per_access<X, P, Y>;
  const Index t = device::row_of_warp();
  if (!device::inside(t, x.rows)) return;
  float sum = 0, squares = 0;
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each];
    device::load(values, x[t] + c);
    for (const float value : values) sum += value;
  }
  const float mean = device::warp_sum(sum) / static_cast<float>(x.columns);
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each];
    device::load(values, x[t] + c);
    for (const float value : values) squares += (value - mean) * (value - mean);
  }
  const float rstd = 1 / sqrtf(device::warp_sum(squares) / static_cast<float>(x.columns) + epsilon);
  normalize_row<each>(x[t], mean, rstd, gain, bias, y[t], x.columns);
  if (device::lane() == 0) saved.mean[t] = mean, saved.rstd[t] = rstd;
}

template <Real X, Real P, Real Y>
__global__ void layer_norm_recompute(RowsView<const X> x, const P* gain, const P* bias, LayerNorm::Saved<float> saved, RowsView<Y> y) {
  const Index t = device::row_of_warp();
  if (device::inside(t, x.rows)) normalize_row<device::values_per_access<X, P, Y>>(x[t], saved.mean[t], saved.rstd[t], gain, bias, y[t], x.columns);
}

template <Real X, Real P, Real DY>
__global__ void layer_norm_backward(RowsView<const X> x, const P* gain, LayerNorm::Saved<float> saved, RowsView<const DY> dy, RowsView<float> dx, bool accumulate) {
  constexpr int each = 4;
  const Index t = device::row_of_warp();
  if (!device::inside(t, x.rows)) return;
  const float mean = saved.mean[t], rstd = saved.rstd[t];
  float sum = 0, product = 0;
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each], slopes[each], gains[each];
    device::load(values, x[t] + c);
    device::load(slopes, dy[t] + c);
    device::load(gains, gain + c);
    for (int i = 0; i < each; ++i) sum += slopes[i] * gains[i], product += slopes[i] * gains[i] * (values[i] - mean);
  }
  const float mean_g = device::warp_sum(sum) / static_cast<float>(x.columns), mean_product = device::warp_sum(product) * rstd / static_cast<float>(x.columns);
  for (Index c = device::lane() * each; device::inside(c, x.columns); c += device::warp_lanes * each) {
    float values[each], slopes[each], gains[each], out[each] = {};
    device::load(values, x[t] + c);
    device::load(slopes, dy[t] + c);
    device::load(gains, gain + c);
    if (accumulate) device::load(out, dx[t] + c);
    for (int i = 0; i < each; ++i) out[i] += rstd * (slopes[i] * gains[i] - mean_g - (values[i] - mean) * rstd * mean_product);
    device::store(dx[t] + c, out);
  }
}

/// The terms of the gradients of gain and bias.
template <Real X, Real DY, int each>
struct LayerNormTerms {
  RowsView<const X> x;
  RowsView<const DY> dy;
  LayerNorm::Saved<float> saved;

  __device__ void operator()(float (&values)[2][each], Index t, Index c) const {
    const float mean = saved.mean[t], rstd = saved.rstd[t];
    device::load(values[0], x[t] + c);
    device::load(values[1], dy[t] + c);
    for (int i = 0; i < each; ++i) values[0][i] = values[1][i] * (values[0][i] - mean) * rstd;
  }
};

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y and the saved statistics from x. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Real X, Real P, Real Y, Index C>
void forward(const Cuda& cuda, LayerNorm op, Rows<X, C> x, Vector<P, C> gain, Vector<P, C> bias, Rows<Y, C> y, LayerNorm::Saved<Wide<X>> saved) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::layer_norm_forward<std::remove_const_t<X>, std::remove_const_t<P>, Y>, device::warps_for(x.rows), op.epsilon, view_of(x), gain.data,
                 bias.data, view_of(y), saved);
}

/// y again, from x and the saved statistics. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Real X, Real P, Real Y, Index C>
void recompute(const Cuda& cuda, LayerNorm, Rows<X, C> x, Vector<P, C> gain, Vector<P, C> bias, LayerNorm::Saved<Wide<X>> saved, Rows<Y, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::layer_norm_recompute<std::remove_const_t<X>, std::remove_const_t<P>, Y>, device::warps_for(x.rows), view_of(x), gain.data, bias.data, saved,
                 view_of(y));
}

/// dx. Moves sizeof(X) + sizeof(DY) + 4 bytes a value, 4 more where dx is added to.
template <Real X, Real P, Real DY, Index C>
void backward(const Cuda& cuda, LayerNorm, Rows<X, C> x, Vector<P, C> gain, LayerNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Rows<Wide<X>, C> dx, Write write) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::layer_norm_backward<std::remove_const_t<X>, std::remove_const_t<P>, std::remove_const_t<DY>>, device::warps_for(x.rows), view_of(x), gain.data,
                 saved, view_of(dy), view_of(dx), write == Write::accumulate);
}

/// dgain and dbias, which are added to. Moves sizeof(X) + sizeof(DY) bytes a value. Workspace: column_sums_workspace(C, 2).
template <Real X, Real DY, Real G, Index C>
void gain_and_bias_gradients(const Cuda& cuda, LayerNorm, Rows<X, C> x, LayerNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Vector<G, C> dgain, Vector<G, C> dbias) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  using In = std::remove_const_t<X>;
  using Slope = std::remove_const_t<DY>;
  constexpr int each = device::values_per_access<In, Slope>;
  gpu::add_column_sums<each>(cuda, gpu::LayerNormTerms<In, Slope, each>{view_of(x), view_of(dy), saved}, x.rows, C, gpu::Sums<G, 2>{{dgain.data, dbias.data}});
}

}  // namespace terse::ops
