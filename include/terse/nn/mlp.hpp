#pragma once
#include <terse/core/arena.hpp>
#include <terse/core/precision.hpp>
#include <terse/ops/gelu/cpu.hpp>
#include <terse/ops/swiglu/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// GELU (ops/gelu/op.hpp), value by value: GPT-2's activation.
template <ops::Gelu gelu>
struct Gelu {
  static constexpr Index inputs = 1;  ///< values in for each value out

  /// y = gelu(x); y may be x.
  template <class Device, class X, class Y>
  static void forward(Device& device, X x, Y y) { ops::gelu_forward<gelu>(device, x, y); }
  /// y again, and dx, which stands where dy stood.
  template <class Device, class X, class Y, class DY>
  static void backward(Device& device, X x, Y y, DY, DY dx) { ops::gelu_backward<gelu>(device, x, y, dx); }
};

/// Gated linear unit with SiLU (ops/swiglu/op.hpp): Llama's activation. Its input is gate and up side by side.
struct SwiGlu {
  static constexpr Index inputs = 2;

  template <class Device, class X, class Y>
  static void forward(Device& device, X x, Y y) { ops::swiglu_forward(device, x, y); }
  template <class Device, class X, class Y, class DY, class DX>
  static void backward(Device& device, X x, Y y, DY dy, DX dx) { ops::swiglu_backward(device, x, y, dy, dx); }
};

/// Rows that a value-by-value activation changes in place, and one with two inputs writes apart: `wide` (T, inputs M) and `narrow` (T, M).
template <Real T, Index M, Index inputs>
struct ActivationRows {
  Rows<T, inputs * M> wide;
  Rows<T, M> apart;

  constexpr void each(auto&& visit, Extent extent) {
    visit(wide, extent.tokens);
    if constexpr (inputs > 1) visit(apart, extent.tokens);
  }
  constexpr Rows<T, M> narrow() const {
    if constexpr (inputs > 1) return apart;
    else return wide;
  }
};

/// A block's MLP, up to its projection: norm's output -> hidden.
///
///   hidden = activation(up(x))        branch = down(hidden)
///
/// Shapes     x (T, C) · up (T, inputs M) · hidden (T, M)
///
/// `Up` and `Down` are linear layers, `ActivationType` one of those above.
template <Index C, Index M, Precision P, class ActivationType, class Up, class Down>
struct Mlp {
  using Act = typename P::Activation;
  using Stream = typename P::Stream;
  using Activation = ActivationType;
  static constexpr Index hidden_columns = M, up_columns = Activation::inputs * M;

  Up up;
  Down down;

  /// What backward needs besides x; the activation is computed again, which is cheaper than keeping it.
  struct Saved {
    Rows<Act, up_columns> up;  // (T, inputs M)
    typename Up::template Saved<Act> of_up;
    typename Down::template Saved<Act> of_down;

    constexpr void each(auto&& visit, Extent extent) { visit(up, extent.tokens), of_up.each(visit, extent), of_down.each(visit, extent); }
  };

  /// x (T, C) -> hidden (T, M).
  template <class Device>
  void forward(Device& device, Rows<Act, C> x, const Saved& saved, Rows<Act, M> hidden) const {
    up.forward(device, x, saved.up, saved.of_up);                                                                     // (T, inputs M)
    Activation::forward(device, saved.up, hidden);                                                                    // (T, M)
  }
  /// dbranch (T, C) -> the gradient of up's output, in slopes.wide; hidden (T, M) is computed again.
  template <class Device>
  void backward_to_up(Device& device, Rows<Act, C> dbranch, const Saved& saved, Rows<Act, M> hidden, const ActivationRows<Act, M, Activation::inputs>& slopes,
                      auto& gradient) const {
    down.input_gradient(device, dbranch, slopes.narrow(), gradient.down, saved.of_down);                              // (T, M)
    Activation::backward(device, saved.up, hidden, slopes.narrow(), slopes.wide);                                     // (T, inputs M)
    down.parameter_gradients(device, hidden, dbranch, gradient.down, saved.of_down);
  }

  /// Rows, batch-invariant: x (R, C) -> rows.narrow() (R, M). `input`: what the linear layers' infer takes besides.
  template <class Device>
  void infer(Device& device, Rows<Stream, C> x, const ActivationRows<Stream, M, Activation::inputs>& rows, const auto&... input) const {
    up.infer(device, x, rows.wide, input...);                                                                         // (R, inputs M)
    Activation::forward(device, rows.wide, rows.narrow());                                                            // (R, M)
  }
};

}  // namespace terse::nn
