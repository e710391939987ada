#pragma once
/// How a row of values is shared out among ranks.

#include <algorithm>
#include <cstddef>

#include <terse/core/shape.hpp>

namespace terse {

/// Values [first, end) of a row of them.
struct Slice {
  std::size_t first = 0, end = 0;
  constexpr std::size_t size() const { return end - first; }
  /// Of its values, [at, at + most), as far as there are any.
  constexpr Slice part(std::size_t at, std::size_t most) const { return {std::min(end, first + at), std::min(end, first + at + most)}; }
};

/// Slices begin at multiples of so many values.
inline constexpr std::size_t slice_multiple = 64;

/// Rank `rank`'s slice of `count` values, of `ranks` that follow each other: each as long as the first, but the last ones, which have what is left.
constexpr Slice slice_of(std::size_t count, int rank, int ranks) {
  const auto parts = static_cast<std::size_t>(ranks) * slice_multiple, length = (count + parts - 1) / parts * slice_multiple, r = static_cast<std::size_t>(rank);
  return {std::min(count, r * length), std::min(count, (r + 1) * length)};
}

/// A flat buffer of `total` values in buckets of `each`: what ranks exchange of it at a time, and share out among them.
struct Buckets {
  Index total = 0, each = 1;

  constexpr Index count() const { return divide_up(total, each); }
  constexpr Index first(Index bucket) const { return bucket * each; }
  constexpr Index size(Index bucket) const { return std::min(each, total - first(bucket)); }
};

/// What one rank keeps of a flat buffer: of each bucket its slice, one behind the other. All of it where it isn't shared out.
struct Shard {
  Buckets buckets;
  int rank = 0, ranks = 1;

  /// All of `total` values.
  static constexpr Shard whole(Index total) { return {.buckets = {total, total}}; }

  constexpr bool is_whole() const { return ranks == 1; }
  /// Values of a bucket that this rank keeps, counted from the bucket's first.
  constexpr Slice of_bucket(Index bucket) const { return slice_of(static_cast<std::size_t>(buckets.size(bucket)), rank, ranks); }
  /// How many values it keeps.
  constexpr Index size() const {
    Index kept = 0;
    for (Index bucket = 0; bucket < buckets.count(); ++bucket) kept += static_cast<Index>(of_bucket(bucket).size());
    return kept;
  }
  /// Calls body(where in the buffer, where in what is kept, how many, bucket) for each run of values.
  template <class Body>
  constexpr void for_each(Body&& body) const {
    Index kept = 0;
    for (Index bucket = 0; bucket < buckets.count(); ++bucket) {
      const Slice slice = of_bucket(bucket);
      const auto count = static_cast<Index>(slice.size());
      if (count > 0) body(buckets.first(bucket) + static_cast<Index>(slice.first), kept, count, bucket);
      kept += count;
    }
  }
};

}  // namespace terse
