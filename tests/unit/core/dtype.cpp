#include <terse/core/dtype.hpp>

#include <bit>
#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace terse;

namespace {

/// The value of a half's bits, by IEEE 754's definition.
double half_by_definition(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return fraction ? std::nan("") : sign * INFINITY;
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

template <class T>
T from_bits(std::uint16_t bits) {
  T result;
  result.bits = bits;
  return result;
}

/// Rounds to the neighbour that is nearer, at equal distance to the one with the even bits.
template <class T>
void check_ties(std::uint16_t last_finite) {
  int wrong = 0;
  for (std::uint16_t bits = 0; bits < last_finite; ++bits) {
    const auto next = static_cast<std::uint16_t>(bits + 1);
    const float low = from_bits<T>(bits), high = from_bits<T>(next), middle = static_cast<float>((double{low} + double{high}) / 2);
    if (double{middle} != (double{low} + double{high}) / 2) continue;  // halfway isn't a float: bfloat16's denormals
    const std::uint16_t even = bits % 2 == 0 ? bits : next;
    wrong += T(middle).bits != even;
    wrong += T(-middle).bits != (even | 0x8000);
    wrong += T(std::nextafter(middle, 0.0f)).bits != bits;
    wrong += T(std::nextafter(middle, INFINITY)).bits != next;
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("half: all 65,536 values, there and back") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto value = from_bits<half>(static_cast<std::uint16_t>(bits));
    const double want = half_by_definition(value.bits);
    if (std::isnan(want)) {
      wrong += !std::isnan(float{value}) || half(float{value}).bits != 0x7FFF;
    } else {
      wrong += double{float{value}} != want || std::signbit(float{value}) != std::signbit(want) || half(float{value}).bits != bits;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("bfloat16: all 65,536 values, there and back") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto value = from_bits<bfloat16>(static_cast<std::uint16_t>(bits));
    wrong += std::bit_cast<std::uint32_t>(float{value}) != bits << 16;
    wrong += bfloat16(float{value}).bits != (std::isnan(float{value}) ? 0x7FFF : bits);
  }
  CHECK(wrong == 0);
}

TEST_CASE("16 bits: to nearest, ties to even, denormals too") {
  check_ties<half>(0x7BFF);
  check_ties<bfloat16>(0x7F7F);
}

TEST_CASE("16 bits: beyond the largest value lies infinity") {
  CHECK(half(65504.0f).bits == 0x7BFF);
  CHECK(half(65519.996f).bits == 0x7BFF);
  CHECK(half(65520.0f).bits == 0x7C00);
  CHECK(half(-1e30f).bits == 0xFC00);
  CHECK(half(std::numeric_limits<float>::infinity()).bits == 0x7C00);
  CHECK(half(0x1p-25f).bits == 0);  // half of the smallest denormal: a tie, to zero
  CHECK(half(std::nextafter(0x1p-25f, 1.0f)).bits == 1);
  CHECK(half(std::numeric_limits<float>::denorm_min()).bits == 0);
  CHECK(half(-0.0f).bits == 0x8000);
  CHECK(bfloat16(std::numeric_limits<float>::max()).bits == 0x7F80);
  CHECK(bfloat16(-std::numeric_limits<float>::infinity()).bits == 0xFF80);
}

TEST_CASE("16 bits: conversions are constexpr") {
  static_assert(half(1.5f).bits == 0x3E00 && float{half(-2.0f)} == -2.0f);
  static_assert(bfloat16(1.0f).bits == 0x3F80 && float{bfloat16(-2.0f)} == -2.0f);
}

TEST_CASE("names and sizes of dtypes") {
  CHECK(name_of(dtype_of<const half>()) == "fp16");
  CHECK(name_of(dtype_of<bfloat16>()) == "bf16");
  CHECK(name_of(dtype_of<float>()) == "fp32");
  CHECK(name_of(dtype_of<double>()) == "fp64");
  CHECK(bytes_of(Dtype::f16) == sizeof(half));
  CHECK(bytes_of(Dtype::bf16) == sizeof(bfloat16));
  CHECK(bytes_of(Dtype::f32) == sizeof(float));
  CHECK(bytes_of(Dtype::f64) == sizeof(double));
}
