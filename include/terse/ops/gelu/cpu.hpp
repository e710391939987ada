#pragma once
#include <cmath>
#include <numbers>

#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/ops/gelu/op.hpp>

namespace terse::inline TERSE_ISA {
namespace gelu_detail {

template <class S>
struct ValueAndSlope {
  S value, slope;
};

// (1 + tanh u) / 2 = 1 / (1 + exp(-2u)): one exp gives both value and slope.
template <ops::Gelu gelu, class S>
[[gnu::always_inline]] inline ValueAndSlope<S> at(S x) {
  if constexpr (gelu == ops::Gelu::tanh) {
    constexpr S twice = static_cast<S>(2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi), cubic = static_cast<S>(0.044715);
    const S gate = 1 / (1 + fast_exp(-twice * multiply_add(cubic * x * x, x, x)));
    return {x * gate, gate + x * gate * (1 - gate) * twice * (1 + 3 * cubic * x * x)};
  } else {
    constexpr S inv_sqrt2 = static_cast<S>(1 / std::numbers::sqrt2), inv_sqrt_2pi = static_cast<S>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
    const S gate = (1 + std::erf(x * inv_sqrt2)) / 2;
    return {x * gate, gate + x * inv_sqrt_2pi * std::exp(-x * x / 2)};
  }
}

}  // namespace gelu_detail
}  // namespace terse::inline TERSE_ISA

namespace terse::ops {

/// y = gelu(x); y may be x.
template <Gelu gelu, Real X, Real Y, Index C>
void gelu_forward(const Cpu& cpu, Rows<X, C> x, Rows<Y, C> y) {
  cpu.parallel_for(x.rows, [=](Index t) {
    const auto row = x[t];
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c) assign(out[c], gelu_detail::at<gelu>(static_cast<Wide<X>>(row[c])).value);
  });
}

/// y = gelu(x) again, and dy becomes dx = dy * gelu'(x).
template <Gelu gelu, Real X, Real Y, Real DY, Index C>
void gelu_backward(const Cpu& cpu, Rows<X, C> x, Rows<Y, C> y, Rows<DY, C> dy) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const auto row = x[t];
    const auto out = y[t];
    const auto slope = dy[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c) {
      const auto [value, derivative] = gelu_detail::at<gelu>(static_cast<S>(row[c]));
      assign(out[c], value), assign(slope[c], static_cast<S>(slope[c]) * derivative);
    }
  });
}

}  // namespace terse::ops
