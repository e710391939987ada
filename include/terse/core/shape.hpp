#pragma once
/// Sizes. Extents of models are static (template parameters); only tokens and sequences are counted at run time.

#include <cstddef>
#include <cstdint>

namespace terse {

/// A size, an index or an offset, counted in values, rows or tokens. Signed, so that a difference is one too.
using Index = std::int64_t;

/// Every tensor inside a larger buffer starts at a multiple of this many bytes (cuBLASLt's default alignment).
inline constexpr std::size_t alignment_bytes = 256;

/// The least multiple of `multiple` that isn't below `value` (value >= 0, multiple > 0).
template <class Integer>
constexpr Integer round_up(Integer value, Integer multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// value / divisor, rounded up (value >= 0, divisor > 0): so many blocks hold `value` things.
template <class Integer>
constexpr Integer divide_up(Integer value, Integer divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace terse
