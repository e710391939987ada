#pragma once
#include <terse/nn/parameters.hpp>
#include <terse/ops/layer_norm/cpu.hpp>
#include <terse/ops/rms_norm/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// Layer normalization with gain and bias (ops/layer_norm/op.hpp): GPT-2's.
///
/// Shapes     x, y (T, C) · weight (the gain), bias (C)
/// Backward   dx is overwritten, or added to (the stream's gradient); the parameters' gradients are added to, unless they are frozen
template <Real T, Index C>
struct LayerNorm {
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
  void backward(Device& device, Rows<X, C> x, const Saved<Wide<X>>& saved, Rows<DY, C> dy, Rows<Wide<X>, C> dx, Write write, LayerNorm<G, C>& gradient) const {
    ops::backward(device, ops::LayerNorm{}, x, weight, saved, dy, dx, write);
    if constexpr (!std::is_const_v<G>) ops::gain_and_bias_gradients(device, ops::LayerNorm{}, x, saved, dy, gradient.weight, gradient.bias);
  }
};

/// Root mean square normalization with gain (ops/rms_norm/op.hpp): Llama's. epsilon is 1 / inverse_epsilon.
///
/// Shapes     x, y (T, C) · weight (the gain) (C)
/// Backward   as LayerNorm's
template <Real T, Index C, int inverse_epsilon = 100000>
struct RmsNorm {
  template <Real S>
  using Saved = ops::RmsNorm::Saved<S>;
  static constexpr ops::RmsNorm op{1.0f / static_cast<float>(inverse_epsilon)};

  Vector<T, C> weight;

  constexpr void parameters(auto&& visit) { visit("weight", weight, ParameterTraits{.mean = 1}); }

  /// y and the saved statistic.
  template <class Device, Real X, Real Y>
  void forward(Device& device, Rows<X, C> x, Rows<Y, C> y, const Saved<Wide<X>>& saved) const {
    ops::forward(device, op, x, weight, y, saved);
  }
  /// y again, from x and the saved statistic.
  template <class Device, Real X, Real Y>
  void recompute(Device& device, Rows<X, C> x, const Saved<Wide<X>>& saved, Rows<Y, C> y) const {
    ops::recompute(device, op, x, weight, saved, y);
  }
  /// dx, and this layer's gradient, which is added to.
  template <class Device, Real X, Real DY, Real G>
  void backward(Device& device, Rows<X, C> x, const Saved<Wide<X>>& saved, Rows<DY, C> dy, Rows<Wide<X>, C> dx, Write write,
                RmsNorm<G, C, inverse_epsilon>& gradient) const {
    ops::backward(device, op, x, weight, saved, dy, dx, write);
    if constexpr (!std::is_const_v<G>) ops::gain_gradient(device, op, x, saved, dy, gradient.weight);
  }
};

}  // namespace terse::nn
