#pragma once
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// Gaussian error linear unit (Hendrycks, Gimpel 2016, arXiv:1606.08415), value by value.
///
///   tanh   y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x³)))     GPT-2's ("gelu_new")
///   exact  y = x / 2 * (1 + erf(x / sqrt(2)))
///
/// Shapes     x, y (T, C)
/// Precision  computed in float (double for double)
/// Backward   y again and dx, which overwrites dy
enum class Gelu { tanh, exact };

}  // namespace terse::ops
