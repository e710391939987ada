#pragma once
#include <algorithm>

#include <terse/core/packed_batch.hpp>
#include <terse/device/cpu.hpp>
#include <terse/ops/dropout/op.hpp>

namespace terse::ops {

/// The document that row t of a packed batch belongs to.
inline Index document_of(const PackedBatch& batch, Index t) {
  return std::upper_bound(batch.cu_seqlens.begin() + 1, batch.cu_seqlens.end(), static_cast<std::int32_t>(t)) - batch.cu_seqlens.begin() - 1;
}

}  // namespace terse::ops

namespace terse::ops::inline TERSE_ISA {

/// factors[c] = 0 or 1 / (1 - p), for c in [0, n) of one row. `factors` has room for n rounded up to 4.
template <class S>
void dropout_factors(const Dropout& dropout, std::uint32_t draw, Index head, Index row, Index n, S* factors) {
  const S scale = static_cast<S>(dropout.scale);
  const Index blocks = divide_up(n, Index{4});
#pragma omp simd
  for (Index b = 0; b < blocks; ++b) {
    const auto words = dropout.words(draw, head, row, b);
    for (Index i = 0; i < 4; ++i) factors[4 * b + i] = words[static_cast<std::size_t>(i)] < dropout.drop_below ? S{0} : scale;
  }
}

}  // namespace terse::ops::inline TERSE_ISA
