#pragma once
/// Products of bfloat16 where the CPU has them: the only file with intrinsics for that.

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/isa.hpp>
#include <terse/device/simd.hpp>

namespace terse::inline TERSE_ISA {

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
inline constexpr bool has_bfloat16_pairs = true;

/// Pairs of bfloat16, both of whose products are added to a float. As ops/matmul/panels.hpp wants its products; Widened is its counterpart.
///
/// The instruction rounds each sum to the nearest, and takes denormals for zero.
struct Bfloat16Pairs {
  using Register = Simd<float>::Register;
  using Left = bfloat16;
  static constexpr int lanes = Simd<float>::lanes, depth = 2, along = 2 * lanes, parts = 1, registers = 2;

  /// x in bfloat16, to the nearest.
  [[gnu::always_inline]] static void convert(Left* to, const float* x, Index count) {
    for (Index i = 0; i < count; i += lanes) {
      const auto mask = static_cast<__mmask16>(count - i < lanes ? (1u << (count - i)) - 1 : 0xFFFFu);
      const __m256bh values = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i));
      _mm256_mask_storeu_epi16(to + i, mask, reinterpret_cast<const __m256i&>(values));
    }
  }
  [[gnu::always_inline]] static void convert(Left* to, const bfloat16* x, Index count) { std::memcpy(to, x, static_cast<std::size_t>(count) * sizeof *x); }
  /// The pair at x, in every lane.
  [[gnu::always_inline]] static void fill_left(Register& pairs, const Left* x) {
    int pair;
    std::memcpy(&pair, x, sizeof pair);
    set(pairs, _mm512_set1_epi32(pair));
  }
  [[gnu::always_inline]] static void load_left(Register& pairs, const Left* x) { std::memcpy(&pairs, x, sizeof pairs); }

  [[gnu::always_inline]] static void load_along(Register& pairs, const bfloat16* w) { std::memcpy(&pairs, w, sizeof pairs); }
  [[gnu::always_inline]] static void load_along(Register& pairs, const bfloat16* w, Index count) { set(pairs, _mm512_maskz_loadu_epi16(first(count), w)); }

  /// Of two rows, 32 columns in pairs. In the order that takes least: 0-3, 8-11, 16-19, 24-27; 4-7, 12-15, 20-23, 28-31.
  [[gnu::always_inline]] static void load_columns(Register* pairs, const bfloat16* w, Index stride) {
    interleave(pairs, _mm512_loadu_si512(w), _mm512_loadu_si512(w + stride));
  }
  /// Where there is only one row, or fewer columns: the rest is zero.
  [[gnu::always_inline]] static void load_columns(Register* pairs, const bfloat16* w, Index stride, Index rows, Index columns) {
    interleave(pairs, _mm512_maskz_loadu_epi16(first(columns), w), rows < 2 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi16(first(columns), w + stride));
  }
  [[gnu::always_inline]] static void add_products(Register& sum, const Register& a, const Register& b) {
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }

  /// Sums of 32 columns, from their order into that of load_columns, and back.
  [[gnu::always_inline]] static void load_sums(Register* sums, const float* y, Index columns) {
    const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    const __m512 left = _mm512_maskz_loadu_ps(half_of(first(columns)), y), right = _mm512_maskz_loadu_ps(half_of(first(columns) >> lanes), y + lanes);
    sums[0] = _mm512_permutex2var_ps(left, low, right), sums[1] = _mm512_permutex2var_ps(left, _mm512_add_epi32(low, _mm512_set1_epi32(4)), right);
  }
  [[gnu::always_inline]] static void store_sums(float* y, const Register* sums, Index columns) {
    const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    _mm512_mask_storeu_ps(y, half_of(first(columns)), _mm512_permutex2var_ps(sums[0], low, sums[1]));
    _mm512_mask_storeu_ps(y + lanes, half_of(first(columns) >> lanes), _mm512_permutex2var_ps(sums[0], _mm512_add_epi32(low, _mm512_set1_epi32(8)), sums[1]));
  }
  [[gnu::always_inline]] static float sum(Register (&chains_of_sum)[parts]) { return sum_of_chains<float>(chains_of_sum); }

 private:
  [[gnu::always_inline]] static void set(Register& to, __m512i bits) { to = _mm512_castsi512_ps(bits); }
  [[gnu::always_inline]] static void interleave(Register* pairs, __m512i upper, __m512i lower) {
    set(pairs[0], _mm512_unpacklo_epi16(upper, lower)), set(pairs[1], _mm512_unpackhi_epi16(upper, lower));
  }
  [[gnu::always_inline]] static __mmask32 first(Index count) { return static_cast<__mmask32>((std::uint64_t{1} << count) - 1); }
  [[gnu::always_inline]] static __mmask16 half_of(__mmask32 mask) { return static_cast<__mmask16>(mask & 0xFFFFu); }
};
#else
inline constexpr bool has_bfloat16_pairs = false;
struct Bfloat16Pairs;
#endif

}  // namespace terse::inline TERSE_ISA
