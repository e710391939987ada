#pragma once
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// Root mean square normalization over the last dimension (Zhang, Sennrich 2019, arXiv:1910.07467).
///
///   y = x * r * gain        r = 1 / sqrt(mean(x²) + epsilon)
///
/// Shapes     x, y (T, C) · gain (C) · r (T)
/// Precision  x, y, gain any Real; r float, double where x is double
/// Backward   dx is overwritten, or added to (the residual stream's gradient); gain_gradient adds to dgain
/// Errors     none at run time: C is static, so a mismatch doesn't compile
struct RmsNorm {
  float epsilon = 1e-5f;  ///< Llama 2's, and SmolLM2's

  /// What backward needs besides x: a value a token.
  template <class Statistic>
  struct Saved {
    Column<Statistic> r;

    constexpr void each(auto&& visit, auto extent) { visit(r, extent.tokens); }
  };
};

}  // namespace terse::ops
