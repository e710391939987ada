#pragma once
// How far a GPU's result may be from the CPU's. The only such table: every comparison of the two goes through it.
#include <algorithm>
#include <cmath>

#include <terse/core/dtype.hpp>

struct Tolerance {
  double relative;  ///< to the largest magnitude in the value's row: both sum in float, in different orders
  double ulps;      ///< of the value: the floats that are rounded may lie on both sides of a tie
};

constexpr Tolerance gpu_tolerance(terse::Dtype dtype) {
  using enum terse::Dtype;
  return dtype == f64 ? Tolerance{1e-12, 0} : dtype == f32 ? Tolerance{1e-5, 0} : Tolerance{1e-5, 1};
}

/// Attention's: in 16 bits a GPU rounds probabilities p and their gradients before it multiplies them, where the CPU keeps float. Each rounding is off by up
/// to u p (u = 2^-11 in fp16, 2^-8 in bf16), evenly spread, so a sum of p v is off by sqrt(sum (p v)²) u / sqrt(3), as a standard deviation. A row's largest
/// value, of 96 such sums or more, is some 2.5 sqrt(sum (p v)²): the deviation is u / 4.3 of it. 1.5 u are 6.5 deviations; the most that was seen, of
/// 600,000 values, is 1.1 u. Then both round the sum.
constexpr Tolerance attention_tolerance(terse::Dtype dtype) {
  using enum terse::Dtype;
  return dtype == f16 ? Tolerance{1.5 * 0x1p-11, 1} : dtype == bf16 ? Tolerance{1.5 * 0x1p-8, 1} : gpu_tolerance(dtype);
}

/// A product's with a bias: in 16 bits the CPU rounds the product before the bias comes to it, a GPU may not. That rounding is off by up to u (2^-11 in fp16,
/// 2^-8 in bf16) of the product, which is at most twice the row's largest value where the bias is no larger than that.
constexpr Tolerance bias_tolerance(terse::Dtype dtype) {
  using enum terse::Dtype;
  return dtype == f16 ? Tolerance{2 * 0x1p-11, 1} : dtype == bf16 ? Tolerance{2 * 0x1p-8, 1} : gpu_tolerance(dtype);
}

/// One unit in the last place of a value of this dtype.
inline double ulp(terse::Dtype dtype, double value) {
  const bool is_half = dtype == terse::Dtype::f16;
  const int digits = is_half ? 10 : 7, least = is_half ? -14 : -126;
  return std::ldexp(1.0, std::max(std::ilogb(value == 0 ? 1e-300 : value), least) - digits);
}

/// How far `got` may be from `want`, in a row whose largest magnitude is `largest`.
inline double allowed_error(terse::Dtype dtype, const Tolerance& tolerance, double want, double largest) {
  return tolerance.relative * largest + (tolerance.ulps > 0 ? tolerance.ulps * ulp(dtype, want) : 0);
}
