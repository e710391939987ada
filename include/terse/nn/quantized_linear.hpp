#pragma once
#include <terse/nn/parameters.hpp>
#include <terse/ops/matmul/int8.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// y = x w + b with w in 8 bits (ops/matmul/int8.hpp): Linear's infer, and nothing of its training. The weight isn't among the parameters; `quantize` fills it.
///
/// Shapes     x (T, In) · y (T, Out) · weight (In, Out) · bias (Out)
template <class T, Index In, Index Out>
struct QuantizedLinear {
  ops::Int8Matrix<In, Out> weight;
  Vector<T, Out> bias;

  constexpr void parameters(auto&& visit) { visit("bias", bias); }

  /// y = x w + b, batch-invariant; `input` is overwritten.
  template <class Device, Real X, Real Y, Index width>
  void infer(Device& device, Rows<X, In> x, Rows<Y, Out> y, const ops::Int8Rows<width>& input) const {
    ops::int8_matmul(device, x, weight, y, input);
    ops::add_bias(device, bias, y);
  }
};

/// Linear layers in 8 bits, for a model's parameters (nn/layers.hpp).
struct QuantizedLayers {
  using Attention = QuantizedLayers;
  using Mlp = QuantizedLayers;

  template <class T, Index In, Index Out>
  using Linear = QuantizedLinear<T, In, Out>;
};

}  // namespace terse::nn
