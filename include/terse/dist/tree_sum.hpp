#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>

#include <terse/core/dtype.hpp>
#include <terse/device/isa.hpp>

namespace terse::dist::inline TERSE_ISA {

/// How many values are added up at a time: what the recursion keeps of them stays in the first-level cache.
inline constexpr std::size_t tree_block = 1024;

/// tree_sum of values [first, first + count), at most tree_block of them.
template <Real T>
void add_branch(const void* const* parts, int ranks, std::size_t first, std::size_t count, Wide<T>* sum) {
  if (ranks == 1) {
    std::copy_n(static_cast<const T*>(parts[0]) + first, count, sum);
    return;
  }
  const int left = static_cast<int>(std::bit_ceil(static_cast<unsigned>(ranks))) / 2;
  Wide<T> right[tree_block];
  add_branch<T>(parts, left, first, count, sum);
  add_branch<T>(parts + left, ranks - left, first, count, right);
  for (std::size_t i = 0; i < count; ++i) sum[i] += right[i];
}

/// sum[i] = parts[0][i] + … + parts[ranks - 1][i], parts of T, as a binary tree over neighbours, ((0 + 1) + (2 + 3)) + …; where ranks aren't a power of two, the left branch
/// is the largest one that is full. Values of 16 bits are added as floats, and their sum is rounded once. `sum` may be one of the parts.
template <Real T>
void tree_sum(const void* const* parts, int ranks, std::size_t count, T* sum) {
  Wide<T> block[tree_block];
  for (std::size_t first = 0; first < count; first += tree_block) {
    const std::size_t some = std::min(tree_block, count - first);
    add_branch<T>(parts, ranks, first, some, block);
    std::ranges::transform(block, block + some, sum + first, [](Wide<T> value) { return static_cast<T>(value); });
  }
}

}  // namespace terse::dist::inline TERSE_ISA
