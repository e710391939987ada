#pragma once
/// Precision policies: which dtype each role has.
///
/// Parameter   the weights as the matmuls read them
/// Activation  what layers save for backward, and the matmuls' inputs
/// Stream      residual stream, its gradient, statistics, softmax, loss, gradients of parameters, and the optimizer's master copy
///
/// `scales_loss`: small gradients would vanish in fp16, so the loss is multiplied by a dynamic scale (optim/loss_scaler.hpp).

#include <string_view>

#include <terse/core/dtype.hpp>

namespace terse {

/// Everything in float.
struct Fp32 {
  using Parameter = float;
  using Activation = float;
  using Stream = float;
  static constexpr bool scales_loss = false;
  static constexpr std::string_view name = "fp32";
};

/// Weights and activations in half, all else in float; the loss is scaled.
struct Fp16Mixed {
  using Parameter = half;
  using Activation = half;
  using Stream = float;
  static constexpr bool scales_loss = true;
  static constexpr std::string_view name = "fp16";
};

/// Weights and activations in bfloat16, all else in float.
struct Bf16Mixed {
  using Parameter = bfloat16;
  using Activation = bfloat16;
  using Stream = float;
  static constexpr bool scales_loss = false;
  static constexpr std::string_view name = "bf16";
};

/// Everything in double: for gradient checks (testing/gradient_check.hpp).
struct Fp64 {
  using Parameter = double;
  using Activation = double;
  using Stream = double;
  static constexpr bool scales_loss = false;
  static constexpr std::string_view name = "fp64";
};

/// A policy: any struct with these members, one of your own too.
template <class P>
concept Precision = Real<typename P::Parameter> && Real<typename P::Activation> && Real<typename P::Stream> && requires {
  { P::scales_loss } -> std::convertible_to<bool>;
};

}  // namespace terse
