#pragma once
#include <terse/device/cpu.hpp>
#include <terse/ops/embedding/op.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/ops/residual/cpu.hpp>

namespace terse::ops {

/// y from ids and positions of the batch; the contract stands in ops/embedding/op.hpp.
template <Real P, Real S, Index V, Index C, Index context>
void embed(const Cpu& cpu, const PackedBatch& batch, Matrix<P, V, C> tokens, Matrix<P, context, C> positions, const Dropout& dropout, Rows<S, C> y) {
  cpu.parallel_for(y.rows, [&, tokens, positions, y](Index t) {
    const auto token = tokens[batch.ids[static_cast<std::size_t>(t)]];
    const auto position = positions[batch.positions[static_cast<std::size_t>(t)]];
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c) out[c] = static_cast<S>(token[c]) + static_cast<S>(position[c]);
  });
  if (dropout.active()) apply_dropout(cpu, batch, dropout, y, y);
}

/// Adds to both tables' gradients; dy becomes the gradient of the sum of embeddings (dropout applied).
template <Real G, Real S, Index V, Index C, Index context>
void embed_backward(const Cpu& cpu, const PackedBatch& batch, const Dropout& dropout, Rows<S, C> dy, Matrix<G, V, C> dtokens, Matrix<G, context, C> dpositions) {
  if (dropout.active()) apply_dropout(cpu, batch, dropout, dy, dy);
  for_column_blocks(cpu, C, [&, dy, dtokens, dpositions](Index first, Index end) {
    for (Index t = 0; t < dy.rows; ++t) {
      const auto slope = dy[t];
      const auto token = dtokens[batch.ids[static_cast<std::size_t>(t)]];
      const auto position = dpositions[batch.positions[static_cast<std::size_t>(t)]];
#pragma omp simd
      for (Index c = first; c < end; ++c) token[c] += slope[c], position[c] += slope[c];
    }
  });
}

}  // namespace terse::ops
