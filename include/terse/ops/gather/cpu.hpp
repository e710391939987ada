#pragma once
/// Some rows of a matrix, and back:  gather y[n] = x[rows[n]],  scatter y[rows[n]] = x[n].
///
/// Shapes     rows (N), distinct · gather: x (T, C), y (N, C) · scatter: x (N, C), y (T, C), its other rows untouched

#include <algorithm>
#include <span>

#include <terse/device/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

template <Real X, Real Y, Index C>
void gather(const Cpu& cpu, Rows<X, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  cpu.parallel_for(y.rows, [=](Index n) {
    const auto in = x[rows[static_cast<std::size_t>(n)]];
    const auto out = y[n];
#pragma omp simd
    for (Index c = 0; c < C; ++c) out[c] = static_cast<Y>(static_cast<Wide<Y>>(in[c]));
  });
}

/// Sets every row to zero.
template <Real Y, Index C>
void clear(const Cpu& cpu, Rows<Y, C> y) {
  cpu.parallel_for(y.rows, [=](Index t) { std::fill_n(y[t].data, C, Y{}); });
}

/// y[rows[n]] = x[n]; the other rows stay as they are.
template <Real X, Real Y, Index C>
void scatter(const Cpu& cpu, Rows<X, C> x, std::span<const std::int32_t> rows, Rows<Y, C> y) {
  cpu.parallel_for(x.rows, [=](Index n) {
    const auto in = x[n];
    const auto out = y[rows[static_cast<std::size_t>(n)]];
#pragma omp simd
    for (Index c = 0; c < C; ++c) out[c] = static_cast<Y>(static_cast<Wide<Y>>(in[c]));
  });
}

}  // namespace terse::ops
