#pragma once
/// Matrix products. Row-major; letters: T tokens (any number of rows), In and Out widths.
///
///   matmul             y  = x w          x (T, In) · w (In, Out)  -> y (T, Out)
///   matmul_bias        y  = x w + bias   bias (Out)                                        in 16 bits y may be rounded before the bias comes to it, and after
///   matmul_transposed  y  = x wᵀ         x (T, In) · w (Out, In)  -> y (T, Out)      also the input's gradient of matmul
///   matmul_gradient    dw = xᵀ dy (+ dw) x (T, In) · dy (T, Out)  -> dw (In, Out)    the weight's gradient of matmul
///
/// Precision  sums in float (double for double). Inputs both double, both float, or both the same 16-bit type; the output the
///            inputs' type or float. On CPU 16-bit inputs are multiplied in hardware where it can (bf16), else converted to float,
///            in the device's workspace: reserve `matmul_workspace` bytes before the loop.
/// Order      whatever the BLAS library does: rows' sums may depend on the number of rows. Where they must not (decoding), use
///            invariant_matmul and invariant_matmul_transposed (ops/matmul/invariant.hpp): the same contract, but one fixed order of
///            summation for each output, whatever stands beside it. Their x may be float beside any weight; where the CPU multiplies bfloat16,
///            it is rounded to that for such a weight.
/// Errors     none at run time: widths are static, so a mismatch doesn't compile.

#include <cstddef>

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>

namespace terse::ops {

/// Bytes of workspace that a product (m, k) x (k, n) may take on a device that must convert its inputs to float.
template <Real T>
constexpr std::size_t matmul_workspace(Index m, Index n, Index k) {
  if constexpr (!is_16_bit<T>) return 0;
  return static_cast<std::size_t>(round_up(m * k, Index{64}) + round_up(k * n, Index{64}) + round_up(m * n, Index{64})) * sizeof(float);
}

/// Says what is wrong with the sizes of a product (columns of x, rows and columns of w, columns of y), which stand in the compiler's trace.
template <Index x_columns, Index w_rows, Index w_columns, Index y_columns>
struct MatmulShapes {
  static constexpr bool value = true;
  static_assert(x_columns == w_rows, "terse: matmul: the columns of x must be as many as the rows of w");
  static_assert(w_columns == y_columns, "terse: matmul: the columns of y must be as many as those of w");
};

}  // namespace terse::ops
