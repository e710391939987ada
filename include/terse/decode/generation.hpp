#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <terse/core/packed_batch.hpp>

namespace terse::decode {

/// A text to continue.
struct Prompt {
  std::span<const TokenId> ids;  ///< none: the answer is empty too
  std::uint64_t number = 0;      ///< among all prompts of all ranks: keys its random numbers, and names it in messages
  std::optional<std::uint64_t> seed{};  ///< of its random numbers; none: the strategy's
};

/// All prompts, numbered from 0 in their order. A view: `prompts` must live on.
inline std::vector<Prompt> numbered(std::span<const std::vector<TokenId>> prompts) {
  std::vector<Prompt> result;
  result.reserve(prompts.size());
  for (const auto& ids : prompts) result.push_back({ids, result.size(), {}});
  return result;
}

/// Why a text ended.
enum class Stop : std::uint8_t {
  end_of_text,  ///< the model said so (or there was no prompt)
  length,       ///< max_new tokens were made
  context,      ///< prompt and new tokens fill the model's context
  cancelled,    ///< an observer asked to stop before the text ended, or before it began
  asked,        ///< one of the strategy's stops asked for it
};

/// "end_of_text", "length", "context", "cancelled" or "stop": as generate's answers have it.
constexpr std::string_view name_of(Stop stop) {
  constexpr std::string_view names[] = {"end_of_text", "length", "context", "cancelled", "stop"};
  return names[static_cast<std::size_t>(stop)];
}

/// The continuation of one prompt.
struct Generation {
  std::vector<TokenId> ids;  ///< the new tokens, the end-of-text (if it came) among them, as transformers counts
  double logprob = 0;        ///< sum of their log-probabilities in nats: of the softmax of the logits as the rules left them, before temperature and filters;
                             ///< in a beam search as the search counts, the rules acting on log-probabilities
  Stop stop = Stop::cancelled;
  float score = 0;           ///< logprob / (number of new tokens) ^ length_penalty: what searches rank by
  std::vector<float> token_logprobs{};  ///< of each new token: what `logprob` is the sum of

  /// The new tokens without the end-of-text: what becomes text.
  std::span<const TokenId> text_ids() const {
    return std::span(ids).first(ids.size() - (stop == Stop::end_of_text && !ids.empty() ? 1 : 0));
  }
};

/// New tokens of a text, and the log-probability of each.
struct NewTokens {
  std::span<const TokenId> ids;
  std::span<const float> logprobs;

  NewTokens first(std::size_t count) const { return {ids.first(count), logprobs.first(count)}; }
  void copy_to(Generation& text) const { text.ids.assign(ids.begin(), ids.end()), text.token_logprobs.assign(logprobs.begin(), logprobs.end()); }
};

/// What a generation took.
struct Effort {
  std::int64_t steps = 0, rows = 0;      ///< passes of the model, and the tokens they ran over
  std::int64_t guesses = 0, right = 0;   ///< tokens that were guessed, and those among them that the model would have chosen
  std::int64_t new_tokens = 0;           ///< of all texts that were written, those not given back too
};

/// Who watches a generation. `prompt` is an index into the prompts given. Where a prompt has several texts in the making, their tokens aren't heard, only
/// the texts that are given back, the best first. Returning false stops it: texts that ended are kept,
/// the others keep what they have and are marked cancelled.
struct Observer {
  std::function<bool(std::size_t prompt, TokenId id)> token;                  ///< each new token but the end-of-text, at once
  std::function<bool(std::size_t prompt, const Generation& generation)> text; ///< each text when it has ended, in that order
};

}  // namespace terse::decode
