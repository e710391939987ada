#pragma once
#include <terse/nn/parameters.hpp>
#include <terse/ops/layer_norm/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// Layer normalization with gain and bias (ops/layer_norm/op.hpp).
///
/// Shapes     x, y (T, C) · weight (the gain), bias (C)
/// Backward   dx is overwritten, or added to (the stream's gradient); the parameters' gradients are added to
template <Real T, Index C>
struct Norm {
  template <Real S>
  using Saved = ops::LayerNorm::Saved<S>;

  Vector<T, C> weight, bias;

  constexpr void parameters(auto&& visit) { visit("weight", weight, ParameterTraits{.mean = 1}), visit("bias", bias); }

  /// y and the saved statistics.
  template <class Device, Real X, Real Y>
  void forward(Device& device, Rows<X, C> x, Rows<Y, C> y, const Saved<Wide<X>>& saved) const {
    ops::forward(device, ops::LayerNorm{}, x, weight, bias, y, saved);
  }
  /// y again, from x and the saved statistics.
  template <class Device, Real X, Real Y>
  void recompute(Device& device, Rows<X, C> x, const Saved<Wide<X>>& saved, Rows<Y, C> y) const {
    ops::recompute(device, ops::LayerNorm{}, x, weight, bias, saved, y);
  }
  /// dx, and this layer's gradients, which are added to.
  template <class Device, Real X, Real DY, Real G>
  void backward(Device& device, Rows<X, C> x, const Saved<Wide<X>>& saved, Rows<DY, C> dy, Rows<Wide<X>, C> dx, Write write, Norm<G, C>& gradient) const {
    ops::backward(device, ops::LayerNorm{}, x, weight, saved, dy, dx, write, gradient.weight, gradient.bias);
  }
};

}  // namespace terse::nn
