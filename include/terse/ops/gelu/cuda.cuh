#pragma once
#include <numbers>
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/gelu/op.hpp>

namespace terse::ops::gpu {

struct GeluValue {
  float value, slope;
};

// (1 + tanh u) / 2 = 1 / (1 + exp(-2u)): one exp gives both value and slope, as on the CPU.
template <Gelu gelu>
__device__ inline GeluValue gelu_at(float x) {
  if constexpr (gelu == Gelu::tanh) {
    constexpr float twice = static_cast<float>(2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi), cubic = 0.044715f;
    const float gate = 1 / (1 + expf(-twice * (x + cubic * x * x * x)));
    return {x * gate, gate + x * gate * (1 - gate) * twice * (1 + 3 * cubic * x * x)};
  } else {
    constexpr float inv_sqrt2 = static_cast<float>(1 / std::numbers::sqrt2), inv_sqrt_2pi = static_cast<float>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
    const float gate = (1 + erff(x * inv_sqrt2)) / 2;
    return {x * gate, gate + x * inv_sqrt_2pi * expf(-x * x / 2)};
  }
}

template <Gelu gelu, Real X, Real Y>
__global__ void gelu_forward(const X* x, Y* y, Index n) {
  constexpr int each = device::values_per_access<X, Y>;
  const Index first = device::first_value(each);
  if (!device::inside(first, n)) return;
  float values[each];
  device::load(values, x + first);
  for (float& value : values) value = gelu_at<gelu>(value).value;
  device::store(y + first, values);
}

template <Gelu gelu, Real X, Real Y, Real DY>
__global__ void gelu_backward(const X* x, Y* y, DY* dy, Index n) {
  constexpr int each = device::values_per_access<X, Y, DY>;
  const Index first = device::first_value(each);
  if (!device::inside(first, n)) return;
  float values[each], slopes[each];
  device::load(values, x + first);
  device::load(slopes, dy + first);
  for (int i = 0; i < each; ++i) {
    const GeluValue at = gelu_at<gelu>(values[i]);
    values[i] = at.value, slopes[i] *= at.slope;
  }
  device::store(y + first, values);
  device::store(dy + first, slopes);
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y = gelu(x); y may be x. Moves sizeof(X) + sizeof(Y) bytes a value.
template <Gelu gelu, Real X, Real Y, Index C>
void gelu_forward(const Cuda& cuda, Rows<X, C> x, Rows<Y, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  using In = std::remove_const_t<X>;
  device::launch(cuda, gpu::gelu_forward<gelu, In, Y>, device::threads_for(x.size(), device::values_per_access<In, Y>), x.data, y.data, x.size());
}

/// y = gelu(x) again, and dy becomes dx = dy * gelu'(x). Moves sizeof(X) + sizeof(Y) + 2 sizeof(DY) bytes a value.
template <Gelu gelu, Real X, Real Y, Real DY, Index C>
void gelu_backward(const Cuda& cuda, Rows<X, C> x, Rows<Y, C> y, Rows<DY, C> dy) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  using In = std::remove_const_t<X>;
  device::launch(cuda, gpu::gelu_backward<gelu, In, Y, DY>, device::threads_for(x.size(), device::values_per_access<In, Y, DY>), x.data, y.data, dy.data, x.size());
}

}  // namespace terse::ops
