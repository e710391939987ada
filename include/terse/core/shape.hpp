#pragma once
/// Sizes. Extents of models are static (template parameters); only tokens and sequences are counted at run time.

#include <cstddef>
#include <cstdint>

namespace terse {

using Index = std::int64_t;

/// Every tensor inside a larger buffer starts at a multiple of this many bytes (cuBLASLt's default alignment).
inline constexpr std::size_t alignment_bytes = 256;

template <class Integer>
constexpr Integer round_up(Integer value, Integer multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <class Integer>
constexpr Integer divide_up(Integer value, Integer divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace terse
