#pragma once
#include <terse/device/blas.hpp>
#include <terse/nn/parameters.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/invariant.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// y = x w + b.
///
/// Shapes     x (T, In) · y (T, Out) · weight (In, Out), as GPT-2's Conv1D stores it · bias (Out)
/// Backward   dx is overwritten; the parameters' gradients are added to
template <class T, Index In, Index Out>
struct Linear {
  Matrix<T, In, Out> weight;
  Vector<T, Out> bias;

  constexpr void parameters(auto&& visit) { visit("weight", weight, ParameterTraits{.deviation = 0.02f}), visit("bias", bias); }

  /// y = x w + b.
  template <class Device, Real X, Real Y>
  void forward(Device& device, Rows<X, In> x, Rows<Y, Out> y) const {
    ops::matmul_bias(device, x, weight, bias, y);
  }

  /// y = x w, where whoever reads y adds the bias.
  template <class Device, Real X, Real Y>
  void forward_without_bias(Device& device, Rows<X, In> x, Rows<Y, Out> y) const {
    ops::matmul(device, x, weight, y);
  }

  /// As forward, batch-invariant: see ops/matmul/op.hpp.
  template <class Device, Real X, Real Y>
  void infer(Device& device, Rows<X, In> x, Rows<Y, Out> y) const {
    ops::invariant_matmul(device, x, weight, y);
    ops::add_bias(device, bias, y);
  }

  /// dx, and this layer's gradients, which are added to. Needs forward's x.
  template <class Device, Real X, Real DY, Real DX, Real G>
  void backward(Device& device, Rows<X, In> x, Rows<DY, Out> dy, Rows<DX, In> dx, Linear<G, In, Out>& gradient) const {
    ops::matmul_gradient(device, x, dy, gradient.weight, Write::accumulate);
    ops::bias_gradient(device, dy, gradient.bias);
    ops::matmul_transposed(device, dy, weight, dx);
  }
};

}  // namespace terse::nn
