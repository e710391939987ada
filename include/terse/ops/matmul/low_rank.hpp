#pragma once
#include <array>

#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/device/simd.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// y += scale (x aᵀ) bᵀ, batch-invariant (ops/matmul/op.hpp): the product with a matrix of low rank, for a few rows at a time.
///
/// Shapes     x (T, In) · a (rank, In) · b (Out, rank) · y (T, Out), which may be columns of wider rows
/// Precision  fp32. The sum over In is made in chains (device/simd.hpp), that over rank in its order
template <Real X, Real W, Real Y, Index In, Index Out, Index rank, Index stride>
void add_low_rank(const Cpu& cpu, Rows<X, In> x, Matrix<W, rank, In> a, Matrix<W, Out, rank> b, float scale, Columns<Y, Out, stride> y) {
  cpu.parallel_for(x.rows, [=](Index t) {
    std::array<float, static_cast<std::size_t>(rank)> low;
    const X* const row = x[t].data;
    for (Index r = 0; r < rank; ++r) low[static_cast<std::size_t>(r)] = scale * sum_in_chains<float>(In, [row, along = a[r].data](Index i) { return row[i] * along[i]; });
    Y* const out = y.data + t * stride;
    for (Index n = 0; n < Out; ++n) {
      float sum = 0;
      for (Index r = 0; r < rank; ++r) sum = multiply_add(low[static_cast<std::size_t>(r)], b[n][r], sum);
      out[n] += sum;
    }
  });
}

}  // namespace terse::ops
