#pragma once
#include <cstdint>
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/dropout/cuda.cuh>
#include <terse/ops/embedding/op.hpp>
#include <terse/ops/embedding/sorted_rows.cuh>
#include <terse/ops/residual/cuda.cuh>

namespace terse::ops::gpu {

template <Real P, Real S>
__global__ void embed(const TokenId* ids, BatchDropout dropout, const P* tokens, const P* positions, RowsView<S> y) {
  constexpr int each = device::values_per_access<P, S>;
  const Index t = device::row_of_warp();
  if (!device::inside(t, y.rows)) return;
  const auto row = dropout.row(t);
  const P* const token = tokens + ids[t] * y.columns;
  const P* const position = positions + dropout.positions[t] * y.columns;
  for (Index c = device::lane() * each; device::inside(c, y.columns); c += device::warp_lanes * each) {
    float values[each], more[each];
    device::load(values, token + c);
    device::load(more, position + c);
    for (int i = 0; i < each; ++i) values[i] += more[i];
    dropout.apply(values, row, c);
    device::store(y[t] + c, values);
  }
}

/// dpositions[p] += dy of the documents' rows at position p, in order of the documents: a warp for a position.
template <Real S, Real G>
__global__ void add_positions(const std::int32_t* cu_seqlens, Index documents, RowsView<const S> dy, RowsView<G> dpositions) {
  constexpr int each = 4;
  const Index position = device::row_of_warp();
  if (!device::inside(position, dpositions.rows)) return;
  for (Index c = device::lane() * each; device::inside(c, dy.columns); c += device::warp_lanes * each) {
    float sums[each], values[each];
    device::load(sums, dpositions[position] + c);
    for (Index document = 0; device::inside(document, documents); ++document) {
      const Index t = cu_seqlens[document] + position;
      if (!device::inside(t, Index{cu_seqlens[document + 1]})) continue;
      device::load(values, dy[t] + c);
      for (int i = 0; i < each; ++i) sums[i] += values[i];
    }
    device::store(dpositions[position] + c, sums);
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y from ids and positions of the batch; the contract stands in ops/embedding/op.hpp. Moves 2 sizeof(P) + sizeof(S) bytes a value.
template <Real P, Real S, Index V, Index C, Index context>
void embed(const Cuda& cuda, const PackedBatch& batch, Matrix<P, V, C> tokens, Matrix<P, context, C> positions, const Dropout& dropout, Rows<S, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::embed<std::remove_const_t<P>, S>, device::warps_for(y.rows), batch.ids.data(), gpu::BatchDropout(batch, dropout), tokens.data, positions.data,
                 view_of(y));
}

/// Adds to both tables' gradients; dy becomes the gradient of the sum of embeddings (dropout applied). Moves about 6 sizeof(S) bytes a value.
/// Workspace: sorted_rows_workspace(T).
template <Real G, Real S, Index V, Index C, Index context>
void embed_backward(const Cuda& cuda, const PackedBatch& batch, const Dropout& dropout, Rows<S, C> dy, Matrix<G, V, C> dtokens, Matrix<G, context, C> dpositions) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  if (dropout.active()) apply_dropout(cuda, batch, dropout, dy, dy);
  gpu::add_rows<S, G>(cuda, view_of(dy), batch.ids, {dtokens.data, V, C});
  device::launch(cuda, gpu::add_positions<S, G>, device::warps_for(context), batch.cu_seqlens.data(), static_cast<Index>(batch.cu_seqlens.size()) - 1, view_of(dy),
                 RowsView<G>{dpositions.data, context, C});
}

}  // namespace terse::ops
