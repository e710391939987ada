#pragma once
/// Sums in an order that doesn't depend on the number of threads.

#include <algorithm>

#include <terse/device/cpu.hpp>
#include <terse/device/simd.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// Calls body(first, end) for blocks of columns: each column is summed over rows by one thread, in order.
template <class Body>
void for_column_blocks(const Cpu& cpu, Index columns, Body&& body) {
  constexpr Index block = 64;
  cpu.parallel_for(divide_up(columns, block), [&](Index b) { body(b * block, std::min(columns, (b + 1) * block)); });
}

/// dbias += sum over rows of dy:  dy (T, C), dbias (C). The bias's gradient of y = x + bias.
template <Real DY, Real G, Index C>
void bias_gradient(const Cpu& cpu, Rows<DY, C> dy, Vector<G, C> dbias) {
  for_column_blocks(cpu, C, [=](Index first, Index end) {
    for (Index t = 0; t < dy.rows; ++t) {
      const auto row = dy[t];
#pragma omp simd
      for (Index c = first; c < end; ++c) dbias[c] += static_cast<G>(row[c]);
    }
  });
}

/// y += bias for each row:  y (T, C), bias (C).
template <Real Y, Real P, Index C>
void add_bias(const Cpu& cpu, Vector<P, C> bias, Rows<Y, C> y) {
  cpu.parallel_for(y.rows, [=](Index t) {
    const auto row = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c) assign(row[c], static_cast<Wide<Y>>(row[c]) + static_cast<Wide<Y>>(bias[c]));
  });
}

/// y *= factor for each value.
template <Real Y, Index C>
void scale(const Cpu& cpu, Rows<Y, C> y, float factor) {
  cpu.parallel_for(y.rows, [=](Index t) {
    const auto row = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c) assign(row[c], static_cast<Wide<Y>>(row[c]) * static_cast<Wide<Y>>(factor));
  });
}

/// x[i] = value.
template <Real T>
void fill(const Cpu& cpu, T* x, Index n, T value) {
  constexpr Index piece = 65536;
  cpu.parallel_for(divide_up(n, piece), [=](Index p) { std::fill(x + p * piece, x + std::min(n, (p + 1) * piece), value); });
}

/// y[i] += x[i].
template <Real T>
void add(const Cpu& cpu, const T* x, T* y, Index n) {
  constexpr Index piece = 65536;
  cpu.parallel_for(divide_up(n, piece), [=](Index p) {
#pragma omp simd
    for (Index i = p * piece; i < std::min(n, (p + 1) * piece); ++i) y[i] += x[i];
  });
}

/// sum over i of x[i]², in double. Infinite or NaN where any x is. Blocks of 64 values are summed in their own precision, so the sums of a row's parts, which begin at multiples
/// of 64, add up to the row's but for a rounding in double. Lanes by name: the compiler's own choice differs from copy to copy.
template <Real T>
double sum_of_squares(const Cpu& cpu, const T* x, Index n) {
  using V = Simd<Wide<T>>;
  constexpr Index pieces = 64, block = 64;
  double partial[pieces];
  const Index piece = round_up(divide_up(n, pieces), block);
  cpu.parallel_for(pieces, [=, &partial](Index p) {
    double total = 0;
    for (Index i = p * piece; i < std::min(n, (p + 1) * piece); i += block) {
      const Index end = std::min(n, i + block);
      typename V::Register sum, values;
      V::fill(sum, 0);
      Index j = i;
      for (; j + V::lanes <= end; j += V::lanes) V::load(values, x + j), V::add_product(sum, values, values);
      V::load_part(values, x + j, end - j), V::add_product(sum, values, values);
      total += static_cast<double>(V::sum(sum));
    }
    partial[p] = total;
  });
  double total = 0;
  for (double part : partial) total += part;
  return total;
}

/// The same, into the device's memory.
template <Real T>
void sum_of_squares(const Cpu& cpu, const T* x, Index n, double* total) {
  *total = sum_of_squares(cpu, x, n);
}

/// True if every value is finite.
template <Real T>
bool all_finite(const Cpu& cpu, const T* x, Index n) {
  constexpr Index pieces = 64;
  bool finite[pieces];
  const Index piece = divide_up(n, pieces);
  cpu.parallel_for(pieces, [=, &finite](Index p) {
    Wide<T> sum = 0;  // 0 * inf and 0 * nan are nan: one pass without branches
#pragma omp simd reduction(+ : sum)
    for (Index i = p * piece; i < std::min(n, (p + 1) * piece); ++i) sum += static_cast<Wide<T>>(x[i]) * 0;
    finite[p] = sum == 0;
  });
  return std::all_of(finite, finite + pieces, [](bool f) { return f; });
}

}  // namespace terse::ops
