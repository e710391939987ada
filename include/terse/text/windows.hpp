#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/sample.hpp>

namespace terse::text {

/// A long text as samples: how a language model learns from text that has no prompts. Each sample is `tokens` rows, and every row
/// predicts the token after it. Samples begin `stride` tokens apart (0: `tokens`, so that they don't overlap); a shorter rest is left out.
/// Errors     Failure::usage: windows of no token; Failure::bad_input: the text is too short for one window
inline std::vector<Sample> windows(std::span<const TokenId> ids, std::size_t tokens, std::size_t stride = 0) {
  if (tokens == 0) fail(Failure::usage, "a window must have at least 1 token");
  if (ids.size() <= tokens) fail(Failure::bad_input, "a text of ", ids.size(), " tokens is too short: windows of ", tokens, " need at least ", tokens + 1);
  std::vector<Sample> samples;
  for (std::size_t first = 0; first + tokens < ids.size(); first += stride > 0 ? stride : tokens) {
    const auto window = ids.subspan(first, tokens + 1);
    samples.push_back({.row = static_cast<std::int64_t>(samples.size()), .prompt = 0, .ids = {window.begin(), window.end()}});
  }
  return samples;
}

}  // namespace terse::text
