#pragma once
/// Small serial products on strided operands, held in registers: what attention is made of. Every output is one chain of multiply-adds over k, or
/// where both operands are contiguous over k `chains` of them, added up in a fixed tree, so its bits don't depend on the tile it is in.

#include <algorithm>

#include <terse/device/blas.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/matmul/op.hpp>

namespace terse::ops::inline TERSE_ISA {
namespace kernel {

/// C (rows, columns x lanes) = A B (+ C) for one tile held in registers. A's element (i, p) stands at a[i * lda + p * step].
template <int rows, int columns, Write write, class S, class A, class B>
inline void tile(Index k, const A* a, Index lda, Index step, const B* b, Index ldb, S* c, Index ldc) {
  using V = Simd<S>;
  typename V::Register sum[rows][columns];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      if constexpr (write == Write::accumulate) V::load(sum[i][j], c + i * ldc + j * V::lanes);
      else sum[i][j] = typename V::Register{};
    }
  for (Index p = 0; p < k; ++p) {
    typename V::Register right[columns];
    for (int j = 0; j < columns; ++j) V::load(right[j], b + p * ldb + j * V::lanes);
    for (int i = 0; i < rows; ++i) {
      typename V::Register left;
      V::fill(left, static_cast<S>(a[i * lda + p * step]));
      for (int j = 0; j < columns; ++j) V::add_product(sum[i][j], left, right[j]);
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) V::store(c + i * ldc + j * V::lanes, sum[i][j]);
}

/// As tile, for the last `columns` of a row of C, fewer than the lanes: the same instructions, so the same bits.
template <int rows, Write write, class S, class A, class B>
inline void end_tile(Index columns, Index k, const A* a, Index lda, Index step, const B* b, Index ldb, S* c, Index ldc) {
  using V = Simd<S>;
  typename V::Register sum[rows];
  for (int i = 0; i < rows; ++i) {
    if constexpr (write == Write::accumulate) V::load_part(sum[i], c + i * ldc, columns);
    else sum[i] = typename V::Register{};
  }
  for (Index p = 0; p < k; ++p) {
    typename V::Register right;
    V::load_part(right, b + p * ldb, columns);
    for (int i = 0; i < rows; ++i) {
      typename V::Register left;
      V::fill(left, static_cast<S>(a[i * lda + p * step]));
      V::add_product(sum[i], left, right);
    }
  }
  for (int i = 0; i < rows; ++i) V::store_part(c + i * ldc, sum[i], columns);
}

/// Rows in tiles of `height`, the rest in one smaller tile.
template <int height, int columns, Write write, class S, class A, class B>
void row_tiles(Index m, Index k, const A* a, Index lda, Index step, const B* b, Index ldb, S* c, Index ldc) {
  const Index whole = m - m % height;
  for (Index i = 0; i < whole; i += height) tile<height, columns, write>(k, a + i * lda, lda, step, b, ldb, c + i * ldc, ldc);
  if constexpr (height > 1)
    if (whole < m) row_tiles<height / 2, columns, write>(m - whole, k, a + whole * lda, lda, step, b, ldb, c + whole * ldc, ldc);
}

/// Serial C (m, n) = A B (+ C). A's element (i, p) stands at a[i * lda + p * step]: step 1 for A as it is; lda 1 for Aᵀ.
template <Write write, class S, class A, class B>
void multiply(Index m, Index n, Index k, const A* a, Index lda, Index step, const B* b, Index ldb, S* c, Index ldc) {
  constexpr Index lanes = Simd<S>::lanes;
  constexpr int wide = vector_registers == 32 ? 3 : 2, height = vector_registers == 32 ? 8 : 4;
  const Index whole = n - n % lanes;
  Index j = 0;
  if (m == 1)  // a wide tile, so that each row of B is read in long runs
    for (; whole - j >= 12 * lanes; j += 12 * lanes) tile<1, 12, write>(k, a, lda, step, b + j, ldb, c + j, ldc);
  for (; whole - j >= wide * lanes; j += wide * lanes) row_tiles<height, wide, write>(m, k, a, lda, step, b + j, ldb, c + j, ldc);
  for (; whole - j >= lanes; j += lanes) row_tiles<height, 1, write>(m, k, a, lda, step, b + j, ldb, c + j, ldc);
  if (whole == n) return;
  Index i = 0;
  for (; m - i >= 4; i += 4) end_tile<4, write>(n - whole, k, a + i * lda, lda, step, b + whole, ldb, c + i * ldc + whole, ldc);
  for (; i < m; ++i) end_tile<1, write>(n - whole, k, a + i * lda, lda, step, b + whole, ldb, c + i * ldc + whole, ldc);
}

/// c[j] = the dot product of a and row j of B, for `columns` rows of B, all contiguous over k.
template <int columns, class S, class A, class B>
inline void dot_tile(Index k, const A* a, const B* b, Index ldb, S* c) {
  using V = Simd<S>;
  typename V::Register sum[columns][chain_registers<S>]{};
  const auto add = [&](Index p, auto load) {
    for (int part = 0; part < chain_registers<S>; ++part, p += V::lanes) {
      typename V::Register left, right;
      load(left, a + p, p);
      for (int j = 0; j < columns; ++j) load(right, b + j * ldb + p, p), V::add_product(sum[j][part], left, right);
    }
  };
  const Index whole = k - k % chains<S>;
  for (Index p = 0; p < whole; p += chains<S>) add(p, [](auto& to, const auto* from, Index) { V::load(to, from); });
  if (whole < k) add(whole, [k](auto& to, const auto* from, Index p) { V::load_part(to, from, std::clamp(k - p, Index{0}, Index{V::lanes})); });
  for (int j = 0; j < columns; ++j) c[j] = sum_of_chains<S>(sum[j]);
}

}  // namespace kernel
}  // namespace terse::ops::inline TERSE_ISA
