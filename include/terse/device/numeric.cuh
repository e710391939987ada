#pragma once
/// Numbers in kernels: the library's 16-bit types through the hardware's conversions, and several values in one access.

#include <bit>
#include <cstdint>
#include <type_traits>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>

namespace terse::device {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(half x) { return __half2float(std::bit_cast<__half>(x.bits)); }
__device__ inline float to_float(bfloat16 x) { return __bfloat162float(std::bit_cast<__nv_bfloat16>(x.bits)); }

/// x rounded to T: to the nearest, ties to even; the same bits as T(x) on the host, NaN among them.
template <Real T>
__device__ inline T from_float(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
    T result;
    if constexpr (std::is_same_v<T, half>) result.bits = std::bit_cast<std::uint16_t>(__float2half_rn(x));
    else result.bits = std::bit_cast<std::uint16_t>(__float2bfloat16_rn(x));
    return result;
  }
}

namespace detail {

template <int bytes>
struct Words;
template <>
struct Words<2> { using Type = std::uint16_t; };
template <>
struct Words<4> { using Type = std::uint32_t; };
template <>
struct Words<8> { using Type = uint2; };
template <>
struct Words<16> { using Type = uint4; };

template <class T, int n>
struct Values { T value[n]; };

}  // namespace detail

/// How many values of the widest of the types fit into one access of 16 bytes: 4 where one is float, else 8.
template <Real... T>
inline constexpr int values_per_access = [] {
  int widest = 1;
  ((widest = static_cast<int>(sizeof(T)) > widest ? static_cast<int>(sizeof(T)) : widest), ...);
  return 16 / widest;
}();

/// n consecutive values as float, in accesses of up to 16 bytes; `from` is aligned to n values, or to 16 bytes if they are more.
template <int n, Real T>
__device__ inline void load(float (&values)[n], const T* from) {
  constexpr int each = n * sizeof(T) > 16 ? 16 / static_cast<int>(sizeof(T)) : n;
  using Word = typename detail::Words<each * static_cast<int>(sizeof(T))>::Type;
  using Part = detail::Values<std::conditional_t<std::is_same_v<std::remove_const_t<T>, float>, float, std::uint16_t>, each>;
  for (int first = 0; first < n; first += each) {
    const Word word = *reinterpret_cast<const Word*>(from + first);  // by name: GCC's sanitizers don't see a load inside bit_cast
    const auto part = std::bit_cast<Part>(word);
    for (int i = 0; i < each; ++i) {
      if constexpr (std::is_same_v<std::remove_const_t<T>, float>) {
        values[first + i] = part.value[i];
      } else {
        std::remove_const_t<T> value;
        value.bits = part.value[i];
        values[first + i] = to_float(value);
      }
    }
  }
}

/// The inverse of load, rounding to T.
template <int n, Real T>
__device__ inline void store(T* to, const float (&values)[n]) {
  constexpr int each = n * sizeof(T) > 16 ? 16 / static_cast<int>(sizeof(T)) : n;
  using Word = typename detail::Words<each * static_cast<int>(sizeof(T))>::Type;
  using Part = detail::Values<std::conditional_t<std::is_same_v<T, float>, float, std::uint16_t>, each>;
  for (int first = 0; first < n; first += each) {
    Part part;
    for (int i = 0; i < each; ++i) {
      if constexpr (std::is_same_v<T, float>) part.value[i] = values[first + i];
      else part.value[i] = from_float<T>(values[first + i]).bits;
    }
    *reinterpret_cast<Word*>(to + first) = std::bit_cast<Word>(part);
  }
}

}  // namespace terse::device
