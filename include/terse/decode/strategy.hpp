#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/decode/rules.hpp>
#include <terse/ops/sample/op.hpp>

namespace terse::decode {

/// When a beam search has found enough.
enum class EarlyStopping : std::uint8_t {
  no,     ///< when the likeliest running beam, ended as it is now, wouldn't come among the finished ones
  yes,    ///< as soon as there are as many finished ones as beams
  never,  ///< as `no`, but a running beam is given the longest text's length where that favours it
};

/// "false", "true" or "never": as transformers and the command line have it.
constexpr std::string_view name_of(EarlyStopping early_stopping) { return early_stopping == EarlyStopping::yes ? "true" : early_stopping == EarlyStopping::never ? "never" : "false"; }
/// The other way; anything else is `no`.
constexpr EarlyStopping early_stopping_of(std::string_view name) { return name == "true" ? EarlyStopping::yes : name == "never" ? EarlyStopping::never : EarlyStopping::no; }

/// How texts are continued: what every strategy (strategies.hpp) comes down to, each value neutral until it is set. The defaults are the summarization job's.
///
/// In the order in which it acts: rules edit the logits; temperature, top_k, top_p, min_p and typical filter them; one token is chosen, or the
/// best beams are; stops are asked. Names and meaning are those of transformers 5.23.
struct Strategy {
  // Which token. Beams take the likeliest; these then don't matter.
  bool greedy = false;      ///< the likeliest token, always; temperature, top_k, top_p, min_p, typical and seed then don't matter
  float temperature = 0.7f; ///< at least 1e-6; below 1 likely tokens become likelier
  int top_k = 50;           ///< only the k likeliest tokens; 0: off
  float top_p = 1;          ///< only the likeliest tokens that together reach this probability; 1: off
  float min_p = 0;          ///< of what is left, only tokens at least so likely as a share of the likeliest one; 0: off
  float typical = 1;        ///< of what is left, the tokens whose surprise is nearest the expected one, up to this probability; 1: off

  // Rules (rules.hpp).
  RepetitionPenalty repetition_penalty{};
  NoRepeatNgram no_repeat_ngram{};
  BadWords bad_words{};
  MinNew min_new{};
  ForcedTokens forced{};
  std::vector<std::function<void(const History&, Edits&)>> own_rules{};

  // Stops (stops.hpp).
  std::vector<std::function<bool(const History&)>> stops{};
  int max_new = 100;  ///< new tokens of a text, its end-of-text among them

  // Search.
  int samples = 1;            ///< texts drawn for each prompt, the best of which are given back
  int beams = 1;              ///< above 1: beam search
  int beam_groups = 1;        ///< diverse beam search (Vijayakumar et al. 2016, arXiv:1610.02424): so many groups of beams, each kept from the tokens of those before
  float diversity = 0;        ///< what a token loses for each beam of the groups before that took it in this step
  float penalty_alpha = 0;    ///< above 0: contrastive search among the top_k likeliest tokens; how much a token loses that is like one before it
  float length_penalty = 1;   ///< a text's score is its log-probability over its new tokens' number to this power
  EarlyStopping early_stopping = EarlyStopping::no;
  int returned = 1;           ///< texts given back for each prompt, the best first

  int draft = 0;           ///< tokens guessed at a time from the text's own past (drafts.hpp): the same text, sooner where it copies; 0: off
  std::uint64_t seed = 42;

  /// The same for one token.
  constexpr ops::Sample sample() const { return {greedy, temperature, top_k, top_p, min_p, typical}; }

  constexpr bool has_beams() const { return beams > 1; }
  constexpr bool is_contrastive() const { return penalty_alpha > 0; }
  /// Slots that a prompt takes: texts that are written at the same time for it, or ways to go on that one is tried in.
  constexpr int width() const { return has_beams() ? beams : is_contrastive() ? top_k : samples; }
  /// A prompt has one text, which only grows.
  constexpr bool writes_one() const { return !has_beams() && samples == 1; }
  bool has_rules() const {
    return repetition_penalty.penalty != 1 || no_repeat_ngram.size > 0 || !bad_words.words.empty() || min_new.count > 0 || !forced.ids.empty() || !own_rules.empty();
  }

  /// The edits of the next token's logits.
  void edit(const History& text, Edits& edits) const {
    edits.begin_text();
    repetition_penalty.edit(text, edits), no_repeat_ngram.edit(text, edits), bad_words.edit(text, edits), min_new.edit(text, edits), forced.edit(text, edits);
    for (const auto& rule : own_rules) rule(text, edits);
  }
  /// The most edits that one text's logits can take.
  Index most_edits(Index vocabulary, Index context) const {
    return has_rules() ? 2 * context + static_cast<Index>(bad_words.words.size()) + 2 + static_cast<Index>(own_rules.size()) * vocabulary : 0;
  }
  bool stops_at(const History& text) const {
    return std::ranges::any_of(stops, [&](const auto& stop) { return stop(text); });
  }
  /// What a text of this log-probability is worth.
  float score(double log_probability, std::size_t new_tokens) const {
    return static_cast<float>(log_probability) / static_cast<float>(std::pow(static_cast<double>(new_tokens), static_cast<double>(length_penalty)));
  }
};

/// Nothing, where every value is in its range.
/// Errors     Failure::usage, naming the value that isn't
inline void require_valid(const Strategy& strategy) {
  const auto at_least = [](const char* name, auto value, auto least) {
    if (!(value >= least)) fail(Failure::usage, name, " must be at least ", least, ": ", value, " given");
  };
  at_least("max-new", strategy.max_new, 1), at_least("beams", strategy.beams, 1), at_least("samples", strategy.samples, 1);
  at_least("beam groups", strategy.beam_groups, 1), at_least("draft", strategy.draft, 0);
  at_least("no-repeat-ngram", strategy.no_repeat_ngram.size, 0), at_least("min-new", strategy.min_new.count, 0);
  if (!(strategy.repetition_penalty.penalty > 0)) fail(Failure::usage, "repetition-penalty must be above 0: ", strategy.repetition_penalty.penalty, " given; 1 is none");
  if (strategy.min_new.count > strategy.max_new) fail(Failure::usage, "min-new ", strategy.min_new.count, " is more than max-new ", strategy.max_new, "; raise max-new");
  if (!(strategy.penalty_alpha >= 0 && strategy.penalty_alpha <= 1)) fail(Failure::usage, "penalty-alpha must be in [0, 1]: ", strategy.penalty_alpha, " given; 0 is off");
  if (strategy.is_contrastive()) {
    if (strategy.top_k < 2) fail(Failure::usage, "penalty-alpha chooses among top-k tokens, so top-k must be at least 2: ", strategy.top_k, " given");
    if (strategy.greedy || strategy.samples > 1 || strategy.has_beams()) fail(Failure::usage, "penalty-alpha doesn't go together with greedy, samples or beams; leave it out, or them");
  }
  const int written = strategy.writes_one() ? 1 : strategy.width();
  if (strategy.returned < 1 || strategy.returned > written)
    fail(Failure::usage, strategy.returned, " texts of each prompt asked for, but ", written, " written; raise beams or samples");
  if (strategy.has_beams() && strategy.samples > 1) fail(Failure::usage, "beams and samples don't go together; leave one out");
  if (strategy.beams % strategy.beam_groups != 0) fail(Failure::usage, strategy.beams, " beams can't be shared out among ", strategy.beam_groups, " groups; choose a multiple");
  if (!(strategy.diversity >= 0)) fail(Failure::usage, "diversity must be at least 0: ", strategy.diversity, " given");
  if (strategy.draft > 0 && strategy.width() > 1) fail(Failure::usage, "draft guesses where a prompt takes one slot, not ", strategy.width(), " as with beams, samples or penalty-alpha; leave it out");
  if (strategy.greedy && strategy.samples > 1) fail(Failure::usage, "greedy samples are all the same; leave out greedy or samples");
  if (strategy.greedy || strategy.has_beams() || strategy.is_contrastive()) return;
  if (!(strategy.temperature >= 1e-6f)) fail(Failure::usage, "temperature must be at least 1e-6: ", strategy.temperature, " given; for the likeliest token use greedy");
  if (strategy.top_k < 0) fail(Failure::usage, "top-k must be at least 0 (off): ", strategy.top_k, " given");
  if (!(strategy.top_p >= 0 && strategy.top_p <= 1)) fail(Failure::usage, "top-p must be in [0, 1]: ", strategy.top_p, " given");
  if (!(strategy.min_p >= 0 && strategy.min_p <= 1)) fail(Failure::usage, "min-p must be in [0, 1]: ", strategy.min_p, " given");
  if (!(strategy.typical > 0 && strategy.typical <= 1)) fail(Failure::usage, "typical must be in (0, 1]: ", strategy.typical, " given");
}

}  // namespace terse::decode
