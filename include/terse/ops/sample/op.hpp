#pragma once
/// Choosing the next token from its logits: the likeliest one, or a random one.
///
///   greedy       the likeliest; of equals the one with the lowest id, as torch.argmax
///   temperature  score = logit / temperature
///   top_k        tokens whose score is below the k-th largest are dropped; those equal to it stay (Fan et al. 2018, arXiv:1805.04833)
///   top_p        of the rest a token stays if the probabilities of those likelier than it sum up to less than p, so at least one
///                stays (Holtzman et al. 2020, arXiv:1904.09751); of equals the one with the lower id counts as likelier
///   min_p        of the rest a token stays if it is at least min_p times as likely as the likeliest (Nguyen et al. 2024, arXiv:2407.01082)
///   typical      of the rest a token stays if the probabilities of those nearer than it sum up to less than this; near is whose surprise,
///                -log p, is close to the mean of all that are left, their entropy (Meister et al. 2022, arXiv:2202.00666)
///   then         one is drawn from softmax(score) over what is left
///
/// Order and rules are those of transformers 5.23's warpers; only for equals at the cut of top_p it has none, its sort is unstable.
///
/// Shapes     logits (B, P), of which the first V columns are real tokens · draws, choices (B)
/// Precision  scores in the logits' dtype, sums of probabilities in double
/// Random     Philox(seed) at (text, step, member), each choice its own: it depends on its logits and these, not on its row or the number of threads
/// Scratch    sample_scratch<S>(V) bytes for each thread
/// Errors     none at run time: where the logits aren't finite, the choice is token 0 with a log-probability of NaN

#include <cstdint>

#include <terse/core/dtype.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/philox.hpp>
#include <terse/core/shape.hpp>
#include <terse/ops/logits/op.hpp>

namespace terse::ops {

/// How a token is chosen; the rules stand at the top of this file. As it is: from the plain softmax.
struct Sample {
  bool greedy = false;     ///< then the others don't matter
  float temperature = 1;   ///< above 0
  int top_k = 0;           ///< 0: off
  float top_p = 1;         ///< in [0, 1]; 1: off
  float min_p = 0;         ///< in [0, 1]; 0: off
  float typical = 1;       ///< in (0, 1]; 1: off
};

/// Which random number a choice takes.
struct Draw {
  std::uint64_t seed = 0;
  std::uint64_t text = 0;    ///< number of the text among all texts
  std::uint32_t step = 0;    ///< number of the token in its text
  std::uint32_t member = 0;  ///< number of the text among those that continue one prompt; below 2^28

  /// Uniform in [0, 1), 53 bits.
  constexpr double uniform() const {
    const auto words = Philox{seed}({step, static_cast<std::uint32_t>(text), static_cast<std::uint32_t>(text >> 32), static_cast<std::uint32_t>(RandomUse::sample) << 28 | member});
    return static_cast<double>(std::uint64_t{words[0]} << 21 ^ words[1] >> 11) * 0x1p-53;
  }
};

/// The token that was chosen.
template <Real S>
struct Choice {
  TokenId id = 0;
  S log_probability = 0;  ///< in nats, under softmax(logits): all of V, whatever the temperature and the filters
};

/// Bytes of scratch that one choice among `vocabulary` tokens takes.
template <Real S>
constexpr std::size_t sample_scratch(Index vocabulary) {
  return static_cast<std::size_t>(vocabulary) * 2 * sizeof(Candidate<S>);  // `typical` orders a copy
}

}  // namespace terse::ops
