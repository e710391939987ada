#pragma once
// Functions of device code that every kernel has without a header. Source: CUDA C++ Programming Guide, "Atomic Functions", "Read-Only
// Data Cache Load Function"; CUDA Math API Reference.

#include <math.h>

#include <bit>
#include <cstdint>
#include <type_traits>

// Device-wide atomics, relaxed as in CUDA. What was there before comes back.
template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  if constexpr (std::is_integral_v<T>) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
  } else {
    T before, after;
    __atomic_load(address, &before, __ATOMIC_RELAXED);
    do after = before + value;
    while (!__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return before;
  }
}
template <class T>
T atomicSub(T* address, std::type_identity_t<T> value) { return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED); }
template <class T>
T atomicOr(T* address, std::type_identity_t<T> value) { return __atomic_fetch_or(address, value, __ATOMIC_RELAXED); }
template <class T>
T atomicAnd(T* address, std::type_identity_t<T> value) { return __atomic_fetch_and(address, value, __ATOMIC_RELAXED); }
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  T before;
  __atomic_exchange(address, &value, &before, __ATOMIC_RELAXED);
  return before;
}
template <class T>
T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  __atomic_compare_exchange_n(address, &compare, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return compare;
}
template <class T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  T before = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (before < value && !__atomic_compare_exchange_n(address, &before, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return before;
}
template <class T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  T before = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (value < before && !__atomic_compare_exchange_n(address, &before, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return before;
}

// Loads and stores with a hint for the caches, which there are none of.
template <class T>
T __ldg(const T* address) { return *address; }
template <class T>
T __ldcs(const T* address) { return *address; }
template <class T>
T __ldcg(const T* address) { return *address; }
template <class T>
void __stcs(T* address, std::type_identity_t<T> value) { *address = value; }
template <class T>
void __stcg(T* address, std::type_identity_t<T> value) { *address = value; }

// Integers
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32); }
constexpr int min(int a, int b) { return a < b ? a : b; }
constexpr unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
constexpr long min(long a, long b) { return a < b ? a : b; }
constexpr long long min(long long a, long long b) { return a < b ? a : b; }
constexpr int max(int a, int b) { return a < b ? b : a; }
constexpr unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
constexpr long max(long a, long b) { return a < b ? b : a; }
constexpr long long max(long long a, long long b) { return a < b ? b : a; }
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }

// Bits
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }

// Floats. The ones with two underscores are faster and less exact on a GPU (Math API, "Single Precision Intrinsics"): here they are exact.
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
/// Sine and cosine of pi x (Math API, "Single Precision Mathematical Functions").
inline void sincospif(float x, float* sine, float* cosine) {
  const double angle = 3.14159265358979323846 * static_cast<double>(x);
  *sine = static_cast<float>(sin(angle)), *cosine = static_cast<float>(cos(angle));
}
inline float __expf(float x) { return expf(x); }
inline float __exp2f(float x) { return exp2f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
// Never fused with what stands beside them, so the compiler mustn't see into them.
float __fmul_rn(float, float);
float __fadd_rn(float, float);
float __fsub_rn(float, float);
