#pragma once
/// Guesses at what comes next in a text, to be checked by the model in one step (speculative decoding; Leviathan et al. 2023, arXiv:2211.17192).
///
/// Since the model is batch-invariant and a choice's random number is keyed by its place in the text, the token that the model would have chosen
/// one step at a time is known for each guess: a guess is right where it is that token. So texts are the same as without guesses, sampled ones too.

#include <algorithm>
#include <cstddef>
#include <span>

#include <terse/core/packed_batch.hpp>
#include <terse/core/shape.hpp>

namespace terse::decode {

/// What followed where the text's last tokens (3, else 2, else 1 of them) came before: at the last such place that `most` tokens follow, else at the first.
/// Summaries copy names and phrases. (Prompt lookup, Saxena 2023.)
inline std::span<const TokenId> look_up(std::span<const TokenId> text, std::size_t most) {
  std::span<const TokenId> found;
  for (std::size_t n = std::min<std::size_t>(3, text.size() - 1); n > 0 && found.empty(); --n) {
    const auto end = text.last(n);
    for (std::size_t at = text.size() - n; at-- > 0 && found.size() < most;)
      if (std::ranges::equal(text.subspan(at, n), end)) found = text.subspan(at + n, std::min(most, text.size() - at - n));
  }
  return found;
}

/// Whether guessing pays in a text: the share of guesses that were right, the latest counting most.
class DraftRecord {
 public:
  /// Guesses go on while at least one in eight was right; else one is tried every 16 tokens.
  bool pays() { return right_ >= 0.125f || ++waited_ % 16 == 0; }
  void take(Index guessed, Index right) { right_ += (static_cast<float>(right) / static_cast<float>(guessed) - right_) / 4; }

 private:
  float right_ = 1;
  int waited_ = 0;
};

}  // namespace terse::decode
