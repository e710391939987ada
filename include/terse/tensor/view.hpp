#pragma once
/// Non-owning, trivially copyable views; they go into kernels by value. Everything is row-major and contiguous.
/// A view of T converts to a view of const T. Nothing is checked at run time: an index is the caller's affair, a size the compiler's.

#include <type_traits>

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>

namespace terse {

namespace detail {

// Asserted once, instead of a constraint on each view, so that the words are the whole of the message.
template <class T>
struct Holds {
  static constexpr bool is_real = Real<T>, value = true;
  static_assert(is_real, "terse: a tensor holds float, double, half or bfloat16");
};

}  // namespace detail

/// (C): a row, a bias, a gain.
template <class T, Index C>
struct Vector {
  static_assert(detail::Holds<T>::value);
  using Value = T;
  static constexpr Index dimensions = 1, columns = C;

  T* data = nullptr;

  /// Values: C.
  static constexpr Index size() { return C; }
  constexpr T& operator[](Index c) const { return data[c]; }
  constexpr operator Vector<const T, C>() const requires(!std::is_const_v<T>) { return {data}; }
};

/// (R, C), both static: a weight.
template <class T, Index R, Index C>
struct Matrix {
  static_assert(detail::Holds<T>::value);
  using Value = T;
  static constexpr Index dimensions = 2, rows = R, columns = C;

  T* data = nullptr;

  /// Values: R C.
  static constexpr Index size() { return R * C; }
  /// Row r, a view.
  constexpr Vector<T, C> operator[](Index r) const { return {data + r * C}; }
  constexpr operator Matrix<const T, R, C>() const requires(!std::is_const_v<T>) { return {data}; }
};

/// (T, C): as many rows as there are tokens, C values each.
template <class T, Index C>
struct Rows {
  static_assert(detail::Holds<T>::value);
  using Value = T;
  static constexpr Index columns = C;

  T* data = nullptr;
  Index rows = 0;

  /// Values: T C.
  constexpr Index size() const { return rows * C; }
  /// Row t, a view.
  constexpr Vector<T, C> operator[](Index t) const { return {data + t * C}; }
  /// Rows [first, first + count).
  constexpr Rows slice(Index first, Index count) const { return {data + first * C, count}; }
  constexpr operator Rows<const T, C>() const requires(!std::is_const_v<T>) { return {data, rows}; }
};

/// (T, C), a part of rows of `stride` values: what a product reads or adds to where it stands beside others.
template <class T, Index C, Index stride>
struct Columns {
  static_assert(detail::Holds<T>::value && C <= stride);
  T* data = nullptr;
  Index rows = 0;
};

/// (T): one value a token.
template <class T>
struct Column {
  using Value = T;
  static constexpr Index columns = 1;

  T* data = nullptr;
  Index rows = 0;

  constexpr Index size() const { return rows; }
  constexpr T& operator[](Index t) const { return data[t]; }
  /// Values [first, first + count).
  constexpr Column slice(Index first, Index count) const { return {data + first, count}; }
  constexpr operator Column<const T>() const requires(!std::is_const_v<T>) { return {data, rows}; }
};

/// (T, C), both known at run time: what kernels on a GPU take, so that there is one a dtype and not one a width.
template <class T>
struct RowsView {
  T* data = nullptr;
  Index rows = 0, columns = 0;

  /// Row t.
  constexpr T* operator[](Index t) const { return data + t * columns; }
  constexpr operator RowsView<const T>() const requires(!std::is_const_v<T>) { return {data, rows, columns}; }
};

/// A view whose width is a number, not a type.
template <class T, Index C>
constexpr RowsView<T> view_of(Rows<T, C> x) {
  return {x.data, x.rows, C};
}

}  // namespace terse
