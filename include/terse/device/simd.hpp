#pragma once
/// Vectors of one register, as the compiler's own vector type: every instruction set, two intrinsics.

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <type_traits>

#if defined(__FMA__)
#include <immintrin.h>
#endif

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/isa.hpp>

namespace terse::inline TERSE_ISA {

/// Operations on `lanes` values of one vector register. `Register` is the compiler's own vector type, so +, * and comparisons work on it.
template <class Scalar>
struct Simd {
  static constexpr int lanes = vector_register_bytes / static_cast<int>(sizeof(Scalar));
  typedef Scalar Register __attribute__((vector_size(vector_register_bytes)));

  /// `lanes` consecutive values, converted to Scalar; any alignment.
  template <class Value>
  [[gnu::always_inline]] static void load(Register& result, const Value* values) {
    if constexpr (std::is_same_v<Value, Scalar>) {
      std::memcpy(&result, values, sizeof result);
    } else if constexpr (std::is_same_v<Value, bfloat16>) {
      typedef std::uint16_t Halves __attribute__((vector_size(vector_register_bytes / 2)));
      typedef std::uint32_t Words __attribute__((vector_size(vector_register_bytes)));
      Halves bits;
      std::memcpy(&bits, values, sizeof bits);
      const Words words = __builtin_convertvector(bits, Words) << 16;
      std::memcpy(&result, &words, sizeof result);
#if defined(__AVX512F__)
    } else if constexpr (std::is_same_v<Value, half> && std::is_same_v<Scalar, float>) {
      // masked by nothing: g++ 12 warns of the plain one's own header
      result = _mm512_maskz_cvtph_ps(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)));
#elif defined(__FMA__) && defined(__F16C__)
    } else if constexpr (std::is_same_v<Value, half> && std::is_same_v<Scalar, float>) {
      result = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
#endif
    } else {
      Scalar converted[lanes];
      for (int lane = 0; lane < lanes; ++lane) converted[lane] = static_cast<Scalar>(values[lane]);
      std::memcpy(&result, converted, sizeof result);
    }
  }
  [[gnu::always_inline]] static void store(Scalar* values, const Register& source) { std::memcpy(values, &source, sizeof source); }

  /// `value` in every lane. Zeros too: nvcc takes no initialiser of a register in a lambda.
  [[gnu::always_inline]] static void fill(Register& result, Scalar value) { result = value - Register{}; }

  /// The first `count` <= lanes values, then zeros: a row's end takes the same instructions as its middle, so it rounds the same.
  template <class Value>
  [[gnu::always_inline]] static void load_part(Register& result, const Value* values, Index count) {
    Scalar padded[lanes] = {};
    for (Index lane = 0; lane < count; ++lane) padded[lane] = static_cast<Scalar>(values[lane]);
    std::memcpy(&result, padded, sizeof result);
  }
  [[gnu::always_inline]] static void store_part(Scalar* values, const Register& source, Index count) {
    std::memcpy(values, &source, static_cast<std::size_t>(count) * sizeof(Scalar));
  }

  /// sum += a * b, rounded once where the instruction set can. By name: of `sum += a * b` compilers fuse some copies and others not,
  /// and the sums would depend on the shape of the tile.
  [[gnu::always_inline]] static void add_product(Register& sum, const Register& a, const Register& b) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<Scalar, float>) sum = _mm512_fmadd_ps(a, b, sum);
    else sum = _mm512_fmadd_pd(a, b, sum);
#elif defined(__FMA__)
    if constexpr (std::is_same_v<Scalar, float>) sum = _mm256_fmadd_ps(a, b, sum);
    else sum = _mm256_fmadd_pd(a, b, sum);
#else
    sum += a * b;
#endif
  }

  /// The square root of each lane, correctly rounded. By name: of std::sqrt, which may set errno, g++ vectorizes no loop.
  [[gnu::always_inline]] static void root(Register& result, const Register& source) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<Scalar, float>) result = _mm512_maskz_sqrt_ps(0xFFFF, source);
    else result = _mm512_maskz_sqrt_pd(0xFF, source);
#elif defined(__FMA__)
    if constexpr (std::is_same_v<Scalar, float>) result = _mm256_sqrt_ps(source);
    else result = _mm256_sqrt_pd(source);
#else
    for (int lane = 0; lane < lanes; ++lane) result[lane] = std::sqrt(source[lane]);
#endif
  }

  /// The lanes' sum, in a fixed order: the upper half is added to the lower one, and so on.
  [[gnu::always_inline]] static Scalar sum(const Register& source) {
    return sum_of<lanes>(source);
  }

  [[gnu::always_inline]] static Scalar largest(const Register& source) {
    Scalar values[lanes];
    std::memcpy(values, &source, sizeof source);
    for (int lane = 1; lane < lanes; ++lane) values[0] = values[lane] > values[0] ? values[lane] : values[0];
    return values[0];
  }

 private:
  template <int count, class Vector>
  [[gnu::always_inline]] static Scalar sum_of(const Vector& source) {
    if constexpr (count == 1) {
      return source[0];
    } else {
      typedef Scalar Half __attribute__((vector_size(count / 2 * sizeof(Scalar))));
      struct { Half lower, upper; } halves;
      std::memcpy(&halves, &source, sizeof halves);
      return sum_of<count / 2>(halves.lower + halves.upper);
    }
  }
};

/// Chains that a sum over many values is made of: value i goes to chain i % chains, and at the end the upper half of them is added to the lower one, and so on. On
/// all instruction sets that fuse products they are as many as the widest register holds, so that sums have the same bits; others, whose differ anyway, take one register.
template <class Scalar>
#if defined(__FMA__)
inline constexpr int chains = 64 / static_cast<int>(sizeof(Scalar));
#else
inline constexpr int chains = Simd<Scalar>::lanes;
#endif
template <class Scalar>
inline constexpr int chain_registers = chains<Scalar> / Simd<Scalar>::lanes;

/// The sum of chains, chain c in lane c % lanes of part c / lanes.
template <class Scalar>
[[gnu::always_inline]] inline Scalar sum_of_chains(typename Simd<Scalar>::Register (&parts)[chain_registers<Scalar>]) {
  for (int half = chain_registers<Scalar> / 2; half > 0; half /= 2)
    for (int part = 0; part < half; ++part) parts[part] += parts[part + half];
  return Simd<Scalar>::sum(parts[0]);
}

/// The sum of term(i) for i in [0, n), in chains. What `term` does must vectorize.
template <class Scalar, class Term>
[[gnu::always_inline]] inline Scalar sum_in_chains(Index n, Term&& term) {
  constexpr int count = chains<Scalar>, lanes = Simd<Scalar>::lanes;
  typename Simd<Scalar>::Register parts[chain_registers<Scalar>] = {};
  alignas(64) Scalar terms[count];
  const auto add = [&] {
    for (int part = 0; part < chain_registers<Scalar>; ++part) {
      typename Simd<Scalar>::Register values;
      std::memcpy(&values, terms + part * lanes, sizeof values);
#if defined(__FMA__)
      asm("" : "+x"(values));  // rounded, then added: compilers fuse some copies of a product and its sum, and others not
#endif
      parts[part] += values;
    }
  };
  const Index whole = n - n % count;
  for (Index i = 0; i < whole; i += count) {
#pragma omp simd simdlen(lanes)  // stored by registers, as they are loaded: g++ tuned for some CPUs takes half ones
    for (int c = 0; c < count; ++c) terms[c] = term(i + c);
    add();
  }
  if (whole < n) {
    for (int c = 0; c < count; ++c) terms[c] = whole + c < n ? term(whole + c) : Scalar{};
    add();
  }
  return sum_of_chains<Scalar>(parts);
}

/// The largest of n values; -infinity of none. NaNs don't count. (clang 14 doesn't vectorize a loop that says so.)
template <class Scalar>
Scalar largest_of(const Scalar* values, Index n) {
  using V = Simd<Scalar>;
  constexpr Scalar lowest = -std::numeric_limits<Scalar>::infinity();
  typename V::Register best = lowest - typename V::Register{};
  const Index whole = n - n % V::lanes;
  for (Index i = 0; i < whole; i += V::lanes) {
    typename V::Register next;
    V::load(next, values + i);
    best = next > best ? next : best;
  }
  Scalar largest = V::largest(best);
  for (Index i = whole; i < n; ++i) largest = values[i] > largest ? values[i] : largest;
  return largest;
}

}  // namespace terse::inline TERSE_ISA
