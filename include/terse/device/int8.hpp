#pragma once
/// Products of 8-bit integers, four at a time into sums of 32 bits: the only file with intrinsics for that. All ways give the same integers.

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <terse/device/isa.hpp>

namespace terse::inline TERSE_ISA {

/// sum[lane] += the lane's four products of x with w, both in [-127, 127].
///
///   offset      is added to each x before it is stored; so `offset` times the sum of w has to be taken from the result
///   registers   of sums that go with one value of x in a tile of four rows
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
struct Int8Quads {
  using Register = __m512i;
  static constexpr int lanes = 16, registers = 6, offset = 128;  // the instruction's x has no sign

  [[gnu::always_inline]] static Register zero() { return _mm512_setzero_si512(); }
  [[gnu::always_inline]] static Register fill(const std::uint8_t* x) {
    int quad;
    std::memcpy(&quad, x, sizeof quad);
    return _mm512_set1_epi32(quad);
  }
  [[gnu::always_inline]] static Register load(const std::int8_t* w) { return _mm512_loadu_si512(w); }
  // Not by its intrinsic: g++ 12 copies each sum before it adds to it, and reads w from memory in each product, which halves the speed.
  [[gnu::always_inline]] static void add_products(Register& sum, Register x, Register w) { asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w)); }
  [[gnu::always_inline]] static void store(std::int32_t* to, Register sum) { _mm512_storeu_si512(to, sum); }
};
#elif defined(__AVX2__)
struct Int8Quads {
  using Register = __m256i;
  static constexpr int lanes = 8, registers = 2, offset = 0;

  [[gnu::always_inline]] static Register zero() { return _mm256_setzero_si256(); }
  [[gnu::always_inline]] static Register fill(const std::uint8_t* x) {
    int quad;
    std::memcpy(&quad, x, sizeof quad);
    return _mm256_set1_epi32(quad);
  }
  [[gnu::always_inline]] static Register load(const std::int8_t* w) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)); }
  // |x| times w with the sign of x: two such products fit into 16 bits, which x + 128 times w wouldn't.
  [[gnu::always_inline]] static void add_products(Register& sum, Register x, Register w) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  [[gnu::always_inline]] static void store(std::int32_t* to, Register sum) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sum); }
};
#else
struct Int8Quads {
  static constexpr int lanes = 4, registers = 1, offset = 0;
  struct Register {
    std::int32_t quads[lanes];
  };

  static Register zero() { return {}; }
  static Register fill(const std::uint8_t* x) {
    Register filled;
    for (auto& quad : filled.quads) std::memcpy(&quad, x, sizeof quad);
    return filled;
  }
  static Register load(const std::int8_t* w) {
    Register loaded;
    std::memcpy(&loaded, w, sizeof loaded);
    return loaded;
  }
  static void add_products(Register& sum, const Register& x, const Register& w) {
    std::int8_t left[4 * lanes], right[4 * lanes];
    std::memcpy(left, &x, sizeof left), std::memcpy(right, &w, sizeof right);
    for (int i = 0; i < 4 * lanes; ++i) sum.quads[i / 4] += std::int32_t{left[i]} * right[i];
  }
  static void store(std::int32_t* to, const Register& sum) { std::memcpy(to, &sum, sizeof sum); }
};
#endif

}  // namespace terse::inline TERSE_ISA
