#pragma once
// The C++ library of NVRTC, which has none: libcu++'s, under the names that sources know. nvrtc.py gives it to whoever includes a standard header.

#include <cuda/std/array>
#include <cuda/std/bit>
#include <cuda/std/cmath>
#include <cuda/std/concepts>
#include <cuda/std/cstddef>
#include <cuda/std/cstdint>
#include <cuda/std/limits>
#include <cuda/std/span>
#include <cuda/std/type_traits>
#include <cuda/std/utility>

// A float in <cmath>; here a double.
#undef INFINITY
#define INFINITY __builtin_huge_valf()

namespace std {

using namespace cuda::std;

// As hosts have them, so that kernels get the names that nvcc gives them; libcu++'s are long long.
using int64_t = long;
using uint64_t = unsigned long;

using string_view = const char*;

// What the compiler asks for where an operator<=> is defaulted.
struct strong_ordering {
  int sign;
  static const strong_ordering less, equal, greater;
};
inline constexpr strong_ordering strong_ordering::less{-1}, strong_ordering::equal{0}, strong_ordering::greater{1};

namespace numbers {

inline constexpr double sqrt2 = 1.4142135623730951, inv_pi = 0.318309886183790671538, inv_sqrtpi = 0.5641895835477563;

}  // namespace numbers

}  // namespace std
