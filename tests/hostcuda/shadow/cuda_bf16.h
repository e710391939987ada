#pragma once
// The toolkit's header of this name: bf16 as storage, with its conversions. Source: CUDA Math API, "Bfloat16 Precision Conversion and Data
// Movement".

#include <bit>
#include <cstdint>

#include "cuda_runtime.h"

struct __attribute__((aligned(2))) __nv_bfloat16 {
  std::uint16_t bits;

  __nv_bfloat16() = default;
  inline __nv_bfloat16(float value);
  inline operator float() const;
};
struct __attribute__((may_alias, aligned(4))) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

inline float __bfloat162float(__nv_bfloat16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16); }

// To the nearest, ties to even; NaN becomes 0x7FFF.
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  const auto all = std::bit_cast<std::uint32_t>(value);
  __nv_bfloat16 result;
  const bool nan = (all & 0x7FFFFFFFu) > 0x7F800000u;
  result.bits = static_cast<std::uint16_t>(nan ? 0x7FFFu : (all + 0x7FFFu + (all >> 16 & 1u)) >> 16);
  return result;
}
inline __nv_bfloat16 __float2bfloat16(float value) { return __float2bfloat16_rn(value); }

inline __nv_bfloat16::__nv_bfloat16(float value) : bits(__float2bfloat16_rn(value).bits) {}
inline __nv_bfloat16::operator float() const { return __bfloat162float(*this); }

inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)}; }
inline float2 __bfloat1622float2(__nv_bfloat162 value) { return {__bfloat162float(value.x), __bfloat162float(value.y)}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return std::bit_cast<__nv_bfloat16>(bits); }
