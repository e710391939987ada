#pragma once
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// Causal attention inside each document of a packed batch (Vaswani et al. 2017; tiles and saved log-sums as in
/// FlashAttention, Dao et al. 2022: no array of T x T).
///
///   P = softmax(q kᵀ / sqrt(D), keys up to the query)       out = dropout(P) v         for each head, D = C / heads
///
/// As many heads of keys and values as of queries is multi-head attention; fewer, each shared by heads / key_value_heads neighbouring heads of
/// queries, is grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245); one is multi-query attention (Shazeer 2019, arXiv:1911.02150).
///
/// Shapes     qkv (T, C + 2 key_value_heads D): q, k and v of all heads side by side, as GPT-2's c_attn gives them · out (T, C) · log_sums (T, heads)
/// Precision  inputs and outputs any Real; scores, probabilities and sums in float (double for double)
/// Saved      log_sums: log of the softmax's denominator; backward recomputes P from it
/// Backward   dqkv is overwritten; needs qkv, out, log_sums
/// Scratch    on a CPU attention_scratch bytes for each thread, on a GPU attention_workspace bytes, reserved on the device before the loop
/// Sizes      on a GPU D is a multiple of 16 (fp32: of 8), at most 128
/// Errors     none at run time but Failure::internal where scratch wasn't reserved
template <Index heads, Index key_value_heads = heads>
struct Attention {
  static_assert(heads % key_value_heads == 0, "terse: attention: heads must be a multiple of key_value_heads");
  static constexpr Index sharing = heads / key_value_heads;  ///< heads of queries that one head of keys and values serves

  /// Columns of qkv, heads being D wide.
  static constexpr Index qkv_columns(Index D) { return (heads + 2 * key_value_heads) * D; }
  /// Queries that are worked on together.
  static constexpr Index query_tile = 32;

  /// What backward needs besides qkv and out: a value a token and head.
  template <class Statistic>
  struct Saved {
    Rows<Statistic, heads> log_sums;

    constexpr void each(auto&& visit, auto extent) { visit(log_sums, extent.tokens); }
  };
};

}  // namespace terse::ops
