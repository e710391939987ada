#pragma once
#include <tuple>

#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/device/blas.hpp>
#include <terse/nn/parameters.hpp>
#include <terse/ops/dropout/op.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/invariant.hpp>
#include <terse/ops/residual/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// A parameter called "weight" and nothing else.
template <class T, Index R, Index C>
struct Weight {
  Matrix<T, R, C> weight;

  constexpr void parameters(auto&& visit) { visit("weight", weight, ParameterTraits{.deviation = 0.02f}); }
};

namespace detail {

/// Says that a part wouldn't follow the one before without a gap; its sizes stand in the compiler's trace.
template <Index rows, Index columns>
struct PartsAreContiguous {
  static constexpr bool value = rows * columns % parameter_alignment == 0;
  static_assert(value, "terse: Projection: parts that are multiplied as one must hold a multiple of 128 values each");
};

}  // namespace detail

/// y = x wᵀ, without a bias. Several matrices that read the same x (q, k and v; gate and up) are one product: `parts` stand one after another in the flat buffer.
///
/// Shapes     x (T, In) · y (T, Out), Out the sum of Outs · part i (Outs[i], In), as PyTorch's Linear stores it
/// Backward   dx is overwritten; the gradient is added to
template <class T, Index In, Index... Outs>
struct Projection {
  static constexpr Index Out = (Outs + ...);
  static_assert(sizeof...(Outs) == 1 || (detail::PartsAreContiguous<Outs, In>::value && ...));

  /// What backward needs besides x and dy: nothing.
  template <class Act>
  using Saved = NoViews;

  std::tuple<Weight<T, Outs, In>...> parts;

  /// Whoever has a projection of several parts names them: models/llama.hpp.
  constexpr void parameters(auto&& visit) requires(sizeof...(Outs) == 1) { std::get<0>(parts).parameters(visit); }

  /// The same values, of a layer that isn't trained.
  constexpr Projection<const T, In, Outs...> as_frozen() const {
    return std::apply([](const auto&... each) { return Projection<const T, In, Outs...>{{Weight<const T, Outs, In>{each.weight}...}}; }, parts);
  }

  /// (Out, In), all parts.
  constexpr Matrix<T, Out, In> weight() const { return {std::get<0>(parts).weight.data}; }

  /// y = x wᵀ.
  template <class Device, Real X, Real Y>
  void forward(Device& device, Rows<X, In> x, Rows<Y, Out> y, NoViews = {}) const {
    ops::matmul_transposed(device, x, weight(), y);
  }

  /// out = stream + dropout(x wᵀ): a branch joins the residual stream. `branch` is overwritten.
  template <class Device, Real X, Real S>
  void join(Device& device, const PackedBatch& batch, const ops::Dropout& dropout, Rows<X, In> x, Rows<S, Out> branch, Rows<S, Out> stream, Rows<S, Out> out,
            NoViews = {}) const {
    forward(device, x, branch);
    ops::residual<S, Out>(device, batch, dropout, stream, branch, out);
  }

  /// What backward needs besides x and dy, as forward and join leave it: nothing.
  template <class Device, Real X>
  void save(Device& /*device*/, Rows<X, In> /*x*/, NoViews) const {}

  /// As forward, batch-invariant: see ops/matmul/op.hpp.
  template <class Device, Real X, Real Y>
  void infer(Device& device, Rows<X, In> x, Rows<Y, Out> y) const {
    ops::invariant_matmul_transposed(device, x, weight(), y);
  }

  /// dx, and this layer's gradient, which is added to. Needs forward's x.
  template <class Device, Real X, Real DY, Real DX, Real G>
  void backward(Device& device, Rows<X, In> x, Rows<DY, Out> dy, Rows<DX, In> dx, Projection<G, In, Outs...>& gradient, NoViews = {}) const {
    input_gradient(device, dy, dx, gradient);
    parameter_gradients(device, x, dy, gradient);
  }
  /// The first half of backward: dx.
  template <class Device, Real DY, Real DX>
  void input_gradient(Device& device, Rows<DY, Out> dy, Rows<DX, In> dx, auto& /*gradient*/, NoViews = {}) const {
    ops::matmul(device, dy, weight(), dx);
  }
  /// The second half: this layer's gradient, unless it is frozen.
  template <class Device, Real X, Real DY, Real G>
  void parameter_gradients(Device& device, Rows<X, In> x, Rows<DY, Out> dy, Projection<G, In, Outs...>& gradient, NoViews = {}) const {
    if constexpr (!std::is_const_v<G>) ops::matmul_gradient(device, dy, x, gradient.weight(), Write::accumulate);
  }
};

}  // namespace terse::nn
