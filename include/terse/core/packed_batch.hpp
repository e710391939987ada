#pragma once
/// A batch without padding: documents back to back, attention stays inside each.

#include <cstdint>
#include <span>

namespace terse {

/// A token's number in its vocabulary, from 0.
using TokenId = std::int32_t;

/// What backward's loss is made of besides cross-entropy.
struct LossTerms {
  float label_smoothing = 0;  ///< from 0 to below 1: what of the target's share the whole vocabulary gets (ops/cross_entropy/op.hpp)
  float r_drop = 0;           ///< at least 0: the weight of the divergence of twins, and above 0 each target row's twin stands behind it (ops/r_drop/op.hpp)
};

/// One micro-batch. Letters: T tokens, B sequences (documents), N target rows.
///
/// The loss of the batch is sum over n of weights[n] * cross_entropy(logits[target_rows[n]], targets[n]);
/// the weights carry the normalisation (micro-batch mean or token mean), so packing can't change it.
/// `backward` has its `loss_terms` too; `loss` hasn't: it judges.
/// A view: whoever made it keeps the memory.
struct PackedBatch {
  std::span<const TokenId> ids;                ///< (T) input tokens
  std::span<const std::int32_t> positions;     ///< (T) restart at 0 in each document
  std::span<const std::int32_t> cu_seqlens;    ///< (B+1) document b holds rows [cu_seqlens[b], cu_seqlens[b+1])
  std::span<const std::int32_t> target_rows;   ///< (N) rows that carry a loss, ascending; of twins each pair of rows
  std::span<const TokenId> targets;            ///< (N) the id that row predicts
  std::span<const float> weights;              ///< (N) what that row's loss counts
  std::span<const std::int64_t> samples;       ///< (B) row of the data set, for messages and per-sample losses
  std::span<const std::uint32_t> draws;        ///< (B) the sample's cursor in the run: keys its dropout, whatever the layout
  LossTerms loss_terms = {};

  /// T
  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
  /// B
  std::int64_t sequences() const { return static_cast<std::int64_t>(samples.size()); }
};

}  // namespace terse
