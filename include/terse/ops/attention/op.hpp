#pragma once
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// Causal multi-head attention inside each document of a packed batch (Vaswani et al. 2017; tiles and saved log-sums as in
/// FlashAttention, Dao et al. 2022: no array of T x T).
///
///   P = softmax(q kᵀ / sqrt(D), keys up to the query)       out = dropout(P) v         for each head, D = C / heads
///
/// Shapes     qkv (T, 3C): q, k and v of all heads side by side, as GPT-2's c_attn gives them · out (T, C) · log_sums (T, heads)
/// Precision  inputs and outputs any Real; scores, probabilities and sums in float (double for double)
/// Saved      log_sums: log of the softmax's denominator; backward recomputes P from it
/// Backward   dqkv is overwritten; needs qkv, out, log_sums
/// Scratch    on a CPU attention_scratch bytes for each thread, on a GPU attention_workspace bytes, reserved on the device before the loop
/// Sizes      on a GPU D is a multiple of 16 (fp32: of 8), at most 128
/// Errors     none at run time but Failure::internal where scratch wasn't reserved
template <Index heads>
struct Attention {
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
