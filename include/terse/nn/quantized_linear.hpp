#pragma once
#include <tuple>

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

  /// Whether that is the shape of Linear's weight.
  static constexpr bool is_part(Index rows, Index columns) { return rows == In && columns == Out; }
  /// From Linear's weight.
  template <class Value>
  void quantize(const Cpu& cpu, const Value* values) {
    ops::quantize(cpu, Matrix<const Value, In, Out>{values}, weight);
  }

  /// y = x w + b, batch-invariant; `input` is overwritten.
  template <class Device, Real X, Real Y, Index width>
  void infer(Device& device, Rows<X, In> x, Rows<Y, Out> y, const ops::Int8Rows<width>& input) const {
    ops::int8_matmul(device, x, weight, y, input);
    ops::add_bias(device, bias, y);
  }
};

/// y = x wᵀ with w in 8 bits: Projection's infer, as above. It has no parameters; `parts` are what a model names them by.
///
/// Shapes     x (T, In) · y (T, Out), Out the sum of Outs · weight (In, Out)
template <class T, Index In, Index... Outs>
struct QuantizedProjection {
  static constexpr Index Out = (Outs + ...);
  /// Has no parameters.
  template <Index>
  struct Part {
    constexpr void parameters(auto&&) {}
  };

  ops::Int8Matrix<In, Out> weight;
  std::tuple<Part<Outs>...> parts;

  constexpr void parameters(auto&&) requires(sizeof...(Outs) == 1) {}

  /// Whether that is the shape of one of Projection's parts.
  static constexpr bool is_part(Index rows, Index columns) { return columns == In && ((rows == Outs) || ...); }
  /// From Projection's parts, which stand one after another.
  template <class Value>
  void quantize(const Cpu& cpu, const Value* values) {
    ops::quantize_transposed(cpu, Matrix<const Value, Out, In>{values}, weight);
  }

  /// y = x wᵀ, batch-invariant; `input` is overwritten.
  template <class Device, Real X, Real Y, Index width>
  void infer(Device& device, Rows<X, In> x, Rows<Y, Out> y, const ops::Int8Rows<width>& input) const {
    ops::int8_matmul(device, x, weight, y, input);
  }
};

/// Linear layers in 8 bits, for a model's parameters (nn/layers.hpp).
struct QuantizedLayers {
  using Attention = QuantizedLayers;
  using Mlp = QuantizedLayers;

  template <class T, Index In, Index Out>
  using Linear = QuantizedLinear<T, In, Out>;
  template <class T, Index In, Index... Outs>
  using Projection = QuantizedProjection<T, In, Outs...>;
};

}  // namespace terse::nn
