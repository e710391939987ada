#pragma once
#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/device/blas.hpp>
#include <terse/nn/parameters.hpp>
#include <terse/ops/dropout/op.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/invariant.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/ops/residual/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// y = x w + b.
///
/// Shapes     x (T, In) · y (T, Out) · weight (In, Out), as GPT-2's Conv1D stores it · bias (Out)
/// Backward   dx is overwritten; the parameters' gradients are added to
template <class T, Index In, Index Out>
struct Linear {
  /// What backward needs besides x and dy: nothing.
  template <class Act>
  using Saved = NoViews;

  Matrix<T, In, Out> weight;
  Vector<T, Out> bias;

  constexpr void parameters(auto&& visit) { visit("weight", weight, ParameterTraits{.deviation = 0.02f}), visit("bias", bias); }
  /// The same values, of a layer that isn't trained.
  constexpr Linear<const T, In, Out> as_frozen() const { return {weight, bias}; }

  /// y = x w + b.
  template <class Device, Real X, Real Y>
  void forward(Device& device, Rows<X, In> x, Rows<Y, Out> y, NoViews = {}) const {
    ops::matmul_bias(device, x, weight, bias, y);
  }

  /// out = stream + dropout(x w + b): a branch joins the residual stream. `branch` is overwritten.
  template <class Device, Real X, Real S>
  void join(Device& device, const PackedBatch& batch, const ops::Dropout& dropout, Rows<X, In> x, Rows<S, Out> branch, Rows<S, Out> stream, Rows<S, Out> out,
            NoViews = {}) const {
    ops::matmul(device, x, weight, branch);
    ops::residual<S, T, Out>(device, batch, dropout, stream, branch, bias, out);
  }

  /// What backward needs besides x and dy, as forward and join leave it: nothing.
  template <class Device, Real X>
  void save(Device& /*device*/, Rows<X, In> /*x*/, NoViews) const {}

  /// As forward, batch-invariant: see ops/matmul/op.hpp.
  template <class Device, Real X, Real Y>
  void infer(Device& device, Rows<X, In> x, Rows<Y, Out> y) const {
    ops::invariant_matmul(device, x, weight, y);
    ops::add_bias(device, bias, y);
  }

  /// dx, and this layer's gradients, which are added to. Needs forward's x.
  template <class Device, Real X, Real DY, Real DX, Real G>
  void backward(Device& device, Rows<X, In> x, Rows<DY, Out> dy, Rows<DX, In> dx, Linear<G, In, Out>& gradient, NoViews = {}) const {
    input_gradient(device, dy, dx, gradient);
    parameter_gradients(device, x, dy, gradient);
  }
  /// The first half of backward: dx.
  template <class Device, Real DY, Real DX>
  void input_gradient(Device& device, Rows<DY, Out> dy, Rows<DX, In> dx, auto& /*gradient*/, NoViews = {}) const {
    ops::matmul_transposed(device, dy, weight, dx);
  }
  /// The second half: this layer's gradients, unless it is frozen.
  template <class Device, Real X, Real DY, Real G>
  void parameter_gradients(Device& device, Rows<X, In> x, Rows<DY, Out> dy, Linear<G, In, Out>& gradient, NoViews = {}) const {
    if constexpr (!std::is_const_v<G>) {
      ops::matmul_gradient(device, x, dy, gradient.weight, Write::accumulate);
      ops::bias_gradient(device, dy, gradient.bias);
    }
  }
};

}  // namespace terse::nn
