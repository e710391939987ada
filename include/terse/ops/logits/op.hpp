#pragma once
/// What rules and searches do to logits before a token is chosen.
///
///   log_softmax   logits[b] -= log(sum over v of exp(logits[b][v])), in place
///   edit          single logits change, in the order of the edits: what depends on a text alone is known before its logits, so the host says it
///                 beforehand and no logit crosses to it
///   best          the n largest values of a row, largest first; of equals the one with the lower id first. NaN is none of them: where fewer are left, the
///                 rest are token 0 with a score of NaN
///
/// Shapes     logits (B, P), of which the first V columns are real tokens · candidates (B, n), 1 <= n <= V
/// Precision  in the logits' dtype
/// Order      a row's result depends on the row and its edits alone
/// Scratch    best: best_scratch<S>(n) bytes for each thread of a CPU
/// Errors     none at run time: where a row has NaN, +infinity or nothing but -infinity, log_softmax leaves NaN everywhere, so that its best has a score of NaN

#include <cstdint>
#include <span>

#include <terse/core/dtype.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/shape.hpp>

namespace terse::ops {

/// How one logit changes.
struct LogitEdit {
  enum class Kind : std::int32_t {
    ban,       ///< to minus infinity
    only,      ///< all others to minus infinity; itself, where it is banned, to 0
    add,       ///< by `amount`
    penalize,  ///< divided by `amount` where positive, multiplied where negative (Keskar et al. 2019, "CTRL", arXiv:1909.05858)
  };

  TokenId id = 0;
  Kind kind = Kind::ban;
  float amount = 0;
};

/// The edits of all rows, back to back: row b's are edits[starts[b] … starts[b + 1]). An edit's id lies in [0, V).
struct LogitEdits {
  std::span<const std::int32_t> starts;  // (B + 1)
  const LogitEdit* edits = nullptr;
};

/// A token and what it is worth.
template <Real S>
struct Candidate {
  S score;
  TokenId id;
};

/// Bytes of scratch that finding the `n` best of a row takes.
template <Real S>
constexpr std::size_t best_scratch(Index n) {
  return static_cast<std::size_t>(n) * sizeof(Candidate<S>);
}

}  // namespace terse::ops
