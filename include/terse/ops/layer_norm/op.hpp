#pragma once
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// Layer normalization over the last dimension (Ba, Kiros, Hinton 2016, arXiv:1607.06450).
///
///   y = (x - mean) * rstd * gain + bias        rstd = 1 / sqrt(variance + epsilon), variance biased
///
/// Shapes     x, y (T, C) · gain, bias (C) · mean, rstd (T)
/// Precision  x, y, gain, bias any Real; statistics float, double where x is double
/// Backward   dx is overwritten, or added to (the residual stream's gradient); gain_and_bias_gradients adds to dgain and dbias
/// Errors     none at run time: C is static, so a mismatch doesn't compile
struct LayerNorm {
  float epsilon = 1e-5f;  ///< GPT-2's value

  /// What backward needs besides x: two values a token.
  template <class Statistic>
  struct Saved {
    Column<Statistic> mean, rstd;

    constexpr void each(auto&& visit, auto extent) { visit(mean, extent.tokens), visit(rstd, extent.tokens); }
  };
};

}  // namespace terse::ops
