#pragma once
/// What files of named tensors have in common, whatever their format: shapes, and what is checked of every table of contents.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>
#include <terse/core/shape.hpp>

namespace terse::io {

/// Sizes of a tensor, outermost first; none of a scalar.
using Shape = std::vector<Index>;

namespace detail {

inline std::string words(const Shape& shape) {
  std::string result = "(";
  for (const Index extent : shape) result += (result.size() > 1 ? ", " : "") + std::to_string(extent);
  return result + ")";
}

/// a * b, or nothing where it doesn't fit 63 bits.
inline std::optional<std::uint64_t> checked_product(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > std::uint64_t{std::numeric_limits<std::int64_t>::max()} / b) return std::nullopt;
  return a * b;
}

/// `unit` times the number of a shape's values, or nothing where it doesn't fit 63 bits.
inline std::optional<std::uint64_t> checked_size(const Shape& shape, std::uint64_t unit) {
  std::optional<std::uint64_t> product = unit;
  for (const Index extent : shape)
    if (product) product = checked_product(*product, static_cast<std::uint64_t>(extent));
  return product;
}

template <class... Parts>
[[noreturn]] void refuse_tensor(const std::string& file, std::string_view name, const Parts&... parts) {
  fail(Failure::bad_input, file, ": tensor ", in_quotes(name), ": ", parts...);
}

/// Where a tensor's bytes lie in a file's data.
struct TensorRange {
  std::uint64_t begin, end;
  std::string name;
};

/// Every byte of `total` belongs to one tensor, but for padding up to the next multiple of `alignment` after each.
inline void check_cover(const std::string& file, std::vector<TensorRange> ranges, std::uint64_t total, std::uint64_t alignment) {
  std::sort(ranges.begin(), ranges.end(), [](const TensorRange& a, const TensorRange& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t covered = 0;
  const std::string* previous = nullptr;
  for (const TensorRange& range : ranges) {
    if (range.begin < covered) refuse_tensor(file, range.name, "overlaps tensor ", in_quotes(*previous), ": damaged; download or write it again");
    if (range.begin - covered >= alignment)
      refuse_tensor(file, range.name, range.begin - covered, " bytes before it belong to no tensor: damaged; download or write it again");
    covered = range.end;
    previous = &range.name;
  }
  if (total - covered >= alignment)
    fail(Failure::bad_input, file, ": ", total - covered, " bytes after the last tensor belong to none: damaged; download or write it again");
}

/// A tensor that is to be read: there (`found`), of the shape wanted, with a place for each value.
inline void check_wanted(const std::string& file, std::string_view name, const Shape* found, const Shape& wanted, std::size_t places) {
  if (found == nullptr) refuse_tensor(file, name, "is missing; is this another model's file?");
  if (*found != wanted) refuse_tensor(file, name, "shape is ", words(*found), ", ", words(wanted), " expected: is this another model's file?");
  if (checked_size(wanted, 1) != std::uint64_t{places})
    fail(Failure::internal, "tensor ", in_quotes(name), ": ", places, " places for a shape of ", words(wanted));
}

}  // namespace detail

}  // namespace terse::io
