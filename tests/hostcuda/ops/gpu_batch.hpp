#pragma once
// A packed batch with its arrays in the memory of both devices.
#include "op_test.hpp"
#include "support/owned_batch.hpp"

struct GpuBatch {
  terse::PackedBatch host;
  Data<std::int32_t> ids, positions, cu_seqlens, target_rows, targets;
  Data<float> weights;
  Data<std::uint32_t> draws;

  GpuBatch(OpRun& run, const terse::PackedBatch& batch)
      : host(batch),
        ids(run.values(batch.ids)),
        positions(run.values(batch.positions)),
        cu_seqlens(run.values(batch.cu_seqlens)),
        target_rows(run.values(batch.target_rows)),
        targets(run.values(batch.targets)),
        weights(run.values(batch.weights)),
        draws(run.values(batch.draws)) {}

  /// As one device sees it.
  terse::PackedBatch operator()(auto at) const {
    return {{at(ids), ids.size()},         {at(positions), positions.size()}, {at(cu_seqlens), cu_seqlens.size()}, {at(target_rows), target_rows.size()},
            {at(targets), targets.size()}, {at(weights), weights.size()},     host.samples,                        {at(draws), draws.size()}};
  }
};

/// Documents of one token, of few, and of more than a warp; T = 1, 3 and 65.
inline const std::vector<std::vector<int>>& batch_lengths() {
  static const std::vector<std::vector<int>> lengths{{1}, {2, 1}, {1, 3, 40, 21}};
  return lengths;
}
