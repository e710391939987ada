#pragma once
/// Some rows of a matrix, and back:  gather y[n] = x[rows[n]],  scatter y[rows[n]] = x[n],  scatter_add y[rows[n]] += x[n].
///
/// Shapes     rows (N) · gather: x (T, C), y (N, C) · scatter: x (N, C), y (T, C), its other rows untouched · scatter_add: as scatter
/// Requires   scatter: distinct rows. gather and scatter_add, its backward, take them as they come: an embedding of tokens
/// Order      scatter_add adds in order of n, whatever the number of threads

#include <algorithm>
#include <span>

#include <terse/device/cpu.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// y[n] = x[rows[n]], in y's dtype.
template <Real X, Real Y, Index C>
void gather(const Cpu& cpu, Rows<X, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  cpu.parallel_for(y.rows, [=](Index n) {
    const auto in = x[rows[static_cast<std::size_t>(n)]];
    const auto out = y[n];
#pragma omp simd
    for (Index c = 0; c < C; ++c) assign(out[c], static_cast<Wide<Y>>(in[c]));
  });
}

/// The same from a matrix of static size: an embedding of tokens.
template <Real X, Real Y, Index V, Index C>
void gather(const Cpu& cpu, Matrix<X, V, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  gather(cpu, Rows<X, C>{x.data, V}, rows, y);
}

/// Sets every row to zero.
template <Real Y, Index C>
void clear(const Cpu& cpu, Rows<Y, C> y) {
  cpu.parallel_for(y.rows, [=](Index t) { std::fill_n(y[t].data, C, Y{}); });
}

/// y[rows[n]] += x[n], in order of n.
template <Real X, Real Y, Index V, Index C>
void scatter_add(const Cpu& cpu, Rows<X, C> x, std::span<const std::int32_t> rows, Matrix<Y, V, C> y) {
  for_column_blocks(cpu, C, [=](Index first, Index end) {
    for (Index n = 0; n < x.rows; ++n) {
      const auto in = x[n];
      const auto out = y[rows[static_cast<std::size_t>(n)]];
#pragma omp simd
      for (Index c = first; c < end; ++c) out[c] += static_cast<Y>(in[c]);
    }
  });
}

/// y[rows[n]] = x[n]; the other rows stay as they are.
template <Real X, Real Y, Index C>
void scatter(const Cpu& cpu, Rows<X, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  cpu.parallel_for(x.rows, [=](Index n) {
    const auto in = x[n];
    const auto out = y[rows[static_cast<std::size_t>(n)]];
#pragma omp simd
    for (Index c = 0; c < C; ++c) assign(out[c], static_cast<Wide<Y>>(in[c]));
  });
}

}  // namespace terse::ops
