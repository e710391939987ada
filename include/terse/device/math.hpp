#pragma once
/// exp for loops that must vectorize on every instruction set, which calls into libm don't; and products fused with sums by name.

#include <bit>
#include <cmath>
#include <cstdint>

#include <terse/device/isa.hpp>

namespace terse::inline TERSE_ISA {

/// choose of floats; whole here, in the instruction set's namespace.
[[gnu::always_inline]] inline float select(bool condition, float a, float b) {
  const std::uint32_t mask = -static_cast<std::uint32_t>(condition);
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(a) & mask) | (std::bit_cast<std::uint32_t>(b) & ~mask));
}

/// a * b + c, rounded once where the instruction set can. By name: of `a * b + c` compilers fuse some copies and others not, and what they choose depends on the
/// width of the registers too.
template <class S>
[[gnu::always_inline]] inline S multiply_add(S a, S b, S c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  if constexpr (sizeof(S) == sizeof(float)) return __builtin_fmaf(a, b, c);
  else return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// e^x within 2 ulp for x in [-87.3, 88.3]; outside, the value at that end. NaN stays NaN.
/// Source: range reduction and polynomial of Cephes' expf (S. Moshier).
[[gnu::always_inline]] inline float fast_exp(float x) {
  x = select(x < -87.3f, -87.3f, x);
  x = select(x > 88.3f, 88.3f, x);
  constexpr float rounder = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits
  const float shifted = multiply_add(x, 1.44269504088896341f, rounder);
  const float n = shifted - rounder;
  const float r = multiply_add(n, 2.12194440e-4f, multiply_add(n, -0.693359375f, x));
  float p = 1.9875691500e-4f;
  p = multiply_add(p, r, 1.3981999507e-3f);
  p = multiply_add(p, r, 8.3334519073e-3f);
  p = multiply_add(p, r, 4.1665795894e-2f);
  p = multiply_add(p, r, 1.6666665459e-1f);
  p = multiply_add(p, r, 5.0000001201e-1f);
  const float mantissa = multiply_add(p, r * r, r) + 1.0f;
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(rounder);
  return mantissa * std::bit_cast<float>((exponent + 127u) << 23);
}

/// e^x by libm: double is for gradient checks.
[[gnu::always_inline]] inline double fast_exp(double x) { return std::exp(x); }

}  // namespace terse::inline TERSE_ISA
