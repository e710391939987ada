#pragma once
/// Memory that is planned, taken once, and carved into tensors.
///
/// A group of tensors (a layer's `Saved`, a model's `Scratch`) is a struct of views with one member function
///
///   constexpr void each(auto&& visit, Extent extent);   // calls visit(view, rows) for each member
///
/// From it follow the bytes it needs (`bytes_needed`, constexpr) and its place in memory (`carve`), so the two can't differ.

#include <cstddef>
#include <type_traits>

#include <terse/core/error.hpp>
#include <terse/core/shape.hpp>

namespace terse {

/// Sizes known only at run time, fixed before the first step: the most that any micro-batch has.
struct Extent {
  Index tokens = 0;     ///< T: rows of a packed batch
  Index sequences = 0;  ///< B: documents in it, or slots of a decoder
};

/// Hands out consecutive, aligned parts of one block of memory. Doesn't own the block.
class Arena {
 public:
  Arena(std::byte* memory, std::size_t bytes) : memory_(memory), bytes_(bytes) {}

  /// `count` values, uninitialised, aligned to `alignment_bytes`. Throws Failure::internal if the plan was too small.
  template <class T>
  T* take(Index count) {
    const std::size_t bytes = round_up(static_cast<std::size_t>(count) * sizeof(T), alignment_bytes);
    if (bytes > bytes_ - used_)
      fail(Failure::internal, "memory plan too small: ", bytes, " bytes asked, ", bytes_ - used_, " left of ", bytes_);
    T* result = reinterpret_cast<T*>(memory_ + used_);
    used_ += bytes;
    return result;
  }
  /// Bytes handed out, gaps for alignment included.
  std::size_t used() const { return used_; }

 private:
  std::byte* memory_;
  std::size_t bytes_;
  std::size_t used_ = 0;
};

/// The group of no tensors.
struct NoViews {
  constexpr void each(auto&& /*visit*/, Extent /*extent*/) {}
};

namespace detail {

// Not a lambda: nvcc's front end has none in a requirement.
struct TakesAnyView {
  constexpr void operator()(auto&, Index) const {}
};

}  // namespace detail

/// What this header calls a group of tensors.
template <class Group>
concept ViewGroup = std::is_default_constructible_v<Group> && requires(Group group) { group.each(detail::TakesAnyView{}, Extent{}); };

namespace detail {

// The columns of a view: static ones, so that bytes are known without an object.
template <class View>
constexpr std::size_t view_bytes(Index rows) {
  return round_up(static_cast<std::size_t>(rows * View::columns) * sizeof(typename View::Value), alignment_bytes);
}

}  // namespace detail

/// Bytes that `carve` takes for a Group of this extent.
template <class Group>
constexpr std::size_t bytes_needed(Extent extent) {
  Group group;
  std::size_t total = 0;
  group.each([&](auto& view, Index rows) { total += detail::view_bytes<std::remove_cvref_t<decltype(view)>>(rows); }, extent);
  return total;
}

/// Points every view of the group to its own part of the arena.
template <class Group>
void carve(Arena& arena, Group& group, Extent extent) {
  group.each(
      [&](auto& view, Index rows) {
        using View = std::remove_cvref_t<decltype(view)>;
        view.data = arena.take<typename View::Value>(rows * View::columns);
        view.rows = rows;
      },
      extent);
}

/// The group's views for a smaller extent, in the same places: a micro-batch has as many rows as it has tokens.
template <class Group>
void shrink(Group& group, Extent extent) {
  group.each([](auto& view, Index rows) { view.rows = rows; }, extent);
}

}  // namespace terse
