#pragma once
#include <cstdint>
#include <span>

#include <terse/tensor/view.hpp>

namespace terse::ops {

/// One layer's keys and values of every slot of a decoder: keys, values (slots, heads, context, D), heads those of keys and values.
template <Real T, Index heads, Index context, Index D>
struct KeyValueCache {
  using Value = T;
  static constexpr Index slot_values = heads * context * D;

  T* keys = nullptr;
  T* values = nullptr;

  constexpr T* key(Index slot, Index head, Index position) const { return keys + slot * slot_values + (head * context + position) * D; }
  constexpr T* value(Index slot, Index head, Index position) const { return values + slot * slot_values + (head * context + position) * D; }
};

/// Rows to run through a model against its cache: prompts being read and texts being written, mixed. Row r is the token ids[r] at
/// positions[r] of slot slots[r]; rows of one slot stand in order of position.
///
/// Texts that begin alike share what they have in common: position j of slot s is to be found in slot sources[s][j], where a row of that slot
/// wrote it. A row writes into its own slot, so its own position's source is its slot. (As pages are shared in vLLM, Kwon et al. 2023,
/// arXiv:2309.06180, with pages of one token.)
struct CacheRows {
  std::span<const std::int32_t> ids, slots, positions;  // (R)
  const std::int32_t* sources = nullptr;                // (slots, context); nullptr: each text stands in its own slot
};

/// Causal attention of new rows over a cache.
///
///   keys and values of the rows enter the cache; then out[r] = softmax(q[r] · keys[0..position] / sqrt(D)) values, for each head, where
///   key and value j are those of slot sources[slot][j]
///
/// Shapes     qkv (R, C + 2 heads D), `heads` the cache's, each shared by C / (heads D) neighbouring heads of queries (ops/attention/op.hpp) · out (R, C)
/// Precision  sums in float; the cache holds its own dtype
/// Order      a row's result depends on its text's earlier rows alone, not on the slots they stand in: batch-invariant
/// Scratch    context values of float for each thread
struct CachedAttention {};

}  // namespace terse::ops
