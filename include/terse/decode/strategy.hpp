#pragma once
#include <cstdint>

#include <terse/core/error.hpp>
#include <terse/ops/sample/op.hpp>

namespace terse::decode {

/// How texts are continued. The defaults are the summarization job's.
struct Strategy {
  bool greedy = false;      ///< the likeliest token, always; what follows but max_new then doesn't matter
  float temperature = 0.7f; ///< at least 1e-6; below 1 likely tokens become likelier
  int top_k = 50;           ///< only the k likeliest tokens; 0: off
  float top_p = 1;          ///< only the likeliest tokens that together reach this probability; 1: off
  float min_p = 0;          ///< only tokens at least this many times as likely as the likeliest; 0: off
  float typical = 1;        ///< only the tokens whose surprise is nearest to its mean that together reach this probability; 1: off
  int max_new = 100;        ///< new tokens of a text, its end-of-text among them
  std::uint64_t seed = 42;

  /// The same for one token.
  constexpr ops::Sample sample() const { return {greedy, temperature, top_k, top_p, min_p, typical}; }
};

/// Nothing, where every value is in its range.
/// Errors     Failure::usage, naming the value that isn't
inline void require_valid(const Strategy& strategy) {
  if (strategy.max_new < 1) fail(Failure::usage, "max-new must be at least 1: ", strategy.max_new, " given");
  if (strategy.greedy) return;
  if (!(strategy.temperature >= 1e-6f)) fail(Failure::usage, "temperature must be at least 1e-6: ", strategy.temperature, " given; for the likeliest token use greedy");
  if (strategy.top_k < 0) fail(Failure::usage, "top-k must be at least 0 (off): ", strategy.top_k, " given");
  if (!(strategy.top_p >= 0 && strategy.top_p <= 1)) fail(Failure::usage, "top-p must be in [0, 1]: ", strategy.top_p, " given");
  if (!(strategy.min_p >= 0 && strategy.min_p <= 1)) fail(Failure::usage, "min-p must be in [0, 1]: ", strategy.min_p, " given");
  if (!(strategy.typical > 0 && strategy.typical <= 1)) fail(Failure::usage, "typical must be in (0, 1]: ", strategy.typical, " given");
}

}  // namespace terse::decode
