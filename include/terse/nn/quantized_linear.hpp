#pragma once
#include <tuple>

#include <terse/nn/parameters.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/int8.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// y = x w + b with w in 8 bits (ops/matmul/int8.hpp): Linear's infer, and what an adapter needs of a frozen layer (nn/lora.hpp). The weight isn't among the parameters;
/// `quantize` fills it.
///
/// Shapes     x (T, In) · y (T, Out) · weight (In, Out) · bias (Out)
/// Precision  infer rounds x to 8 bits too; forward and input_gradient don't: theirs are the products of Linear with the values that w stands for, in fp32, which take the
///            device's workspace
template <class T, Index In, Index Out>
struct QuantizedLinear {
  ops::Int8Matrix<In, Out> weight;
  Vector<T, Out> bias;

  constexpr void parameters(auto&& visit) { visit("bias", bias); }

  /// The same values, of a layer that isn't trained.
  constexpr QuantizedLinear<const T, In, Out> as_frozen() const { return {weight, bias}; }

  /// From Linear's weight.
  template <class Value>
  void quantize(const Cpu& cpu, const Value* values) {
    ops::quantize(cpu, Matrix<const Value, In, Out>{values}, weight);
  }
  /// Into Linear's weight, all of it.
  void dequantize(const Cpu& cpu, Index /*first*/, Index /*count*/, float* values) const { ops::dequantize(cpu, weight, 0, Out, values, Out, 1); }

  /// y = x w + b.
  template <Real X, Real Y>
  void forward(Cpu& cpu, Rows<X, In> x, Rows<Y, Out> y) const {
    ops::matmul_bias(cpu, x, ops::dequantized(cpu, weight), bias, y);
  }
  /// dx = dy wᵀ, overwritten.
  template <Real DY, Real DX>
  void input_gradient(Cpu& cpu, Rows<DY, Out> dy, Rows<DX, In> dx, auto& /*gradient*/) const {
    ops::matmul_transposed(cpu, dy, ops::dequantized(cpu, weight), dx);
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
  /// The same values, of a layer that isn't trained.
  constexpr QuantizedProjection<const T, In, Outs...> as_frozen() const { return {weight, {}}; }

  /// From Projection's parts, which stand one after another.
  template <class Value>
  void quantize(const Cpu& cpu, const Value* values) {
    ops::quantize_transposed(cpu, Matrix<const Value, Out, In>{values}, weight);
  }
  /// Into Projection's parts: `count` values from `first` on, whole rows.
  void dequantize(const Cpu& cpu, Index first, Index count, float* values) const { ops::dequantize(cpu, weight, first / In, count / In, values, 1, In); }

  /// y = x wᵀ.
  template <Real X, Real Y>
  void forward(Cpu& cpu, Rows<X, In> x, Rows<Y, Out> y) const {
    ops::matmul_transposed(cpu, x, ops::dequantized_transposed(cpu, weight), y);
  }
  /// dx = dy w, overwritten.
  template <Real DY, Real DX>
  void input_gradient(Cpu& cpu, Rows<DY, Out> dy, Rows<DX, In> dx, auto& /*gradient*/) const {
    ops::matmul(cpu, dy, ops::dequantized_transposed(cpu, weight), dx);
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
