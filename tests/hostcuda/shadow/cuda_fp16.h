#pragma once
// The toolkit's header of this name: fp16 as storage, with its conversions. Source: CUDA Math API, "Half Precision Conversion and Data
// Movement"; bits held against the toolkit's own header by tests/hostcuda/values where there is one.

#include <bit>
#include <cstdint>

#include "cuda_runtime.h"

struct __attribute__((aligned(2))) __half {
  std::uint16_t bits;

  __half() = default;
  inline __half(float value);
  inline operator float() const;
};
struct __attribute__((may_alias, aligned(4))) __half2 {
  __half x, y;
};
using half2 = __half2;

// Every NaN becomes 0x7FFFFFFF.
inline float __half2float(__half value) {
  const std::uint32_t sign = (value.bits & 0x8000u) << 16, exponent = value.bits >> 10 & 31u, mantissa = value.bits & 1023u;
  if (exponent == 31) return std::bit_cast<float>(mantissa == 0 ? sign | 0x7F800000u : 0x7FFFFFFFu);
  if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(mantissa) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

// To the nearest, ties to even; NaN becomes 0x7FFF.
inline __half __float2half_rn(float value) {
  const auto all = std::bit_cast<std::uint32_t>(value), magnitude = all & 0x7FFFFFFFu, sign = all >> 16 & 0x8000u;
  __half result;
  if (magnitude > 0x7F800000u) result.bits = 0x7FFF;
  else if (magnitude >= 0x477FF000u) result.bits = static_cast<std::uint16_t>(sign | 0x7C00u);   // 65520 and more
  else if (magnitude < 0x38800000u)                                                             // denormal: adding 0.5 rounds at 2^-24
    result.bits = static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f)));
  else result.bits = static_cast<std::uint16_t>(sign | (((magnitude + 0xFFFu + (magnitude >> 13 & 1u)) >> 13) - (112u << 10)));
  return result;
}
inline __half __float2half(float value) { return __float2half_rn(value); }

inline __half::__half(float value) : bits(__float2half_rn(value).bits) {}
inline __half::operator float() const { return __half2float(*this); }

inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline float2 __half22float2(__half2 value) { return {__half2float(value.x), __half2float(value.y)}; }
inline float __low2float(__half2 value) { return __half2float(value.x); }
inline float __high2float(__half2 value) { return __half2float(value.y); }
inline unsigned short __half_as_ushort(__half value) { return value.bits; }
inline __half __ushort_as_half(unsigned short bits) { return std::bit_cast<__half>(bits); }
