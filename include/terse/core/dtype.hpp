#pragma once
/// Number formats: float, double, and the two 16-bit ones, with the roundings of IEEE 754 (nearest, ties to even).

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace terse {

/// A number format as a value; dtype_of gives a type's.
enum class Dtype : std::uint8_t { f64, f32, f16, bf16 };

/// condition ? a : b, by bits: of a conditional expression g++ makes a branch around what follows when that is known for one side, and the
/// loop it stands in doesn't vectorize.
constexpr std::uint32_t choose(bool condition, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t mask = -static_cast<std::uint32_t>(condition);
  return (a & mask) | (b & ~mask);
}

namespace detail {

// Branch-free, so that loops over it vectorize on every instruction set. NaN becomes 0x7FFF, as on CUDA.
constexpr std::uint16_t half_bits(float value) {
  const auto all = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = all & 0x7FFFFFFFu, sign = (all >> 16) & 0x8000u;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13;
  constexpr std::uint32_t denormal_magic = 126u << 23;  // 0.5: adding it shifts the mantissa to half's denormal place
  const std::uint32_t denormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + std::bit_cast<float>(denormal_magic)) - denormal_magic;
  const std::uint32_t finite = choose(magnitude < (113u << 23), denormal, normal), number = choose(magnitude >= (143u << 23), 0x7C00u, finite) | sign;
  return static_cast<std::uint16_t>(choose(magnitude > 0x7F800000u, 0x7FFFu, number));
}

constexpr float half_value(std::uint16_t bits) {
  const std::uint32_t magnitude = (bits & 0x7FFFu) << 13, exponent = magnitude & (0x7C00u << 13);
  const std::uint32_t normal = magnitude + (112u << 23);
  const std::uint32_t special = normal + (112u << 23);
  const std::uint32_t denormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(normal + (1u << 23)) - std::bit_cast<float>(113u << 23));
  const std::uint32_t result = choose(exponent == (0x7C00u << 13), special, choose(exponent == 0, denormal, normal));
  return std::bit_cast<float>(result | (std::uint32_t{bits} & 0x8000u) << 16);
}

constexpr std::uint16_t bfloat16_bits(float value) {
  const auto all = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (all + 0x7FFFu + ((all >> 16) & 1u)) >> 16;
  return static_cast<std::uint16_t>(choose((all & 0x7FFFFFFFu) > 0x7F800000u, 0x7FFFu, rounded));
}

}  // namespace detail

/// IEEE 754 binary16: 11 significant bits, largest value 65504, smallest 2^-24. Storage only: arithmetic happens in float.
/// From float: to the nearest, ties to even; 65520 and more to infinity; NaN to 0x7FFF.
struct half {
  std::uint16_t bits = 0;

  constexpr half() = default;
  constexpr explicit half(float value) : bits(detail::half_bits(value)) {}
  constexpr operator float() const { return detail::half_value(bits); }
};

/// The upper half of a float: 8 significant bits, float's range. Storage only: arithmetic happens in float.
/// From float: to the nearest, ties to even; NaN to 0x7FFF.
struct bfloat16 {
  std::uint16_t bits = 0;

  constexpr bfloat16() = default;
  constexpr explicit bfloat16(float value) : bits(detail::bfloat16_bits(value)) {}
  constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// What a tensor may hold.
template <class T>
concept Real = std::same_as<std::remove_const_t<T>, float> || std::same_as<std::remove_const_t<T>, double> ||
               std::same_as<std::remove_const_t<T>, half> || std::same_as<std::remove_const_t<T>, bfloat16>;

/// What arithmetic on T is done in: float, but double for double (gradient checks).
template <Real T>
using Wide = std::conditional_t<std::same_as<std::remove_const_t<T>, double>, double, float>;

/// True for half and bfloat16.
template <Real T>
inline constexpr bool is_16_bit = sizeof(T) == 2;

/// to = T(value), for loops that must vectorize: g++ 12 doesn't vectorize those under `omp simd` that assign a struct, and they take ten times as long.
template <Real T>
constexpr void assign(T& to, Wide<T> value) {
  if constexpr (std::same_as<T, half>) to.bits = detail::half_bits(value);
  else if constexpr (std::same_as<T, bfloat16>) to.bits = detail::bfloat16_bits(value);
  else to = value;
}

/// The format of T, const or not.
template <Real T>
constexpr Dtype dtype_of() {
  using Value = std::remove_const_t<T>;
  if constexpr (std::same_as<Value, double>) return Dtype::f64;
  else if constexpr (std::same_as<Value, float>) return Dtype::f32;
  else if constexpr (std::same_as<Value, half>) return Dtype::f16;
  else return Dtype::bf16;
}

/// Bytes of one value.
constexpr std::size_t bytes_of(Dtype dtype) {
  return dtype == Dtype::f64 ? 8 : dtype == Dtype::f32 ? 4 : 2;
}

/// "fp64", "fp32", "fp16" or "bf16": as the command line has it.
constexpr std::string_view name_of(Dtype dtype) {
  constexpr std::string_view names[] = {"fp64", "fp32", "fp16", "bf16"};
  return names[static_cast<std::size_t>(dtype)];
}

}  // namespace terse
