#pragma once
/// The bookkeeping of a beam search: which beams go on, and which texts have ended. Rules and arithmetic are those of transformers' `generate`: 5.23's, and
/// for the groups of a diverse beam search those of 4.55, the last that had it.

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <terse/decode/generation.hpp>
#include <terse/decode/strategy.hpp>

namespace terse::decode {

/// A way to go on: a running beam and a token.
struct Continuation {
  float score = 0;  ///< the sum of log-probabilities with this token
  int beam = 0;
  TokenId id = 0;
  float logprob = 0;            ///< the token's part of the score
  Stop stop = Stop::cancelled;  ///< where it ends

  bool ends() const { return stop != Stop::cancelled; }
};

/// A group of beams of one prompt, all of them where the search isn't a diverse one. All memory is taken at construction.
class BeamSearch {
 public:
  BeamSearch(const Strategy& strategy, Index most_new) : strategy_(&strategy), beams_(static_cast<std::size_t>(strategy.beams / strategy.beam_groups)), ended_(beams_ + 1) {
    for (auto& text : ended_) text.ids.reserve(static_cast<std::size_t>(most_new)), text.token_logprobs.reserve(static_cast<std::size_t>(most_new));
    running_.reserve(beams_);
  }

  void begin() { count_ = 0, open_ = true, is_over_ = false, running_.clear(); }

  /// One step. `continuations`: the 2 * beams best of the group, best first; with the token they have `length` new tokens, of at most `limit`. `new_tokens(beam)`: those of a
  /// running beam so far.
  template <class Before>
  void advance(std::span<const Continuation> continuations, int length, int limit, Before&& new_tokens) {
    if (strategy_->beam_groups > 1) advance_group(continuations, length, limit, new_tokens);
    else advance_all(continuations, length, limit, new_tokens);
  }

  bool is_over() const { return is_over_; }
  /// How the beams go on, best first.
  std::span<const Continuation> running() const { return running_; }
  /// Texts that have ended, at most as many as beams, best first.
  std::span<const Generation> ended() const { return std::span(ended_).first(count_); }

 private:
  static constexpr float worthless = -1e9f;

  template <class Before>
  void advance_all(std::span<const Continuation> continuations, int length, int limit, Before&& new_tokens) {
    const bool takes = open_ && !has_enough();
    running_.clear();
    for (std::size_t rank = 0; rank < continuations.size(); ++rank) {
      const auto& next = continuations[rank];
      if (!next.ends() && running_.size() < beams_) running_.push_back(next);
      if (next.ends() && rank < beams_ && takes) keep(next, new_tokens(next.beam));
    }
    open_ = open_ && best_possible(running_.empty() ? worthless : running_[0].score, length, limit) > worst_ended();
    is_over_ = !open_ || running_.empty() || has_enough();
  }

  /// A text's length doesn't end it here: at the end of a search that goes on till then, all its beams are texts.
  template <class Before>
  void advance_group(std::span<const Continuation> continuations, int length, int limit, Before&& new_tokens) {
    running_.clear();
    for (std::size_t rank = 0; rank < continuations.size() && running_.size() < beams_; ++rank) {
      const auto& next = continuations[rank];
      const bool ends = next.stop == Stop::end_of_text || next.stop == Stop::asked;
      if (!ends) running_.push_back(next);
      else if (rank < beams_) keep(next, new_tokens(next.beam));
    }
    is_over_ = running_.empty() || has_enough() || (is_full() && best_possible(continuations[0].score, length, limit) <= worst_ended());
    if (is_over_ || length < limit) return;
    for (const auto& next : running_) keep(next, new_tokens(next.beam));
    is_over_ = true;
  }

  bool is_full() const { return count_ == beams_; }
  bool has_enough() const { return is_full() && strategy_->early_stopping == EarlyStopping::yes; }
  /// The score that a running beam is thought to come to.
  float best_possible(float log_probability, int length, int limit) const {
    const bool to_the_end = strategy_->early_stopping == EarlyStopping::never && strategy_->length_penalty > 0;
    return strategy_->score(static_cast<double>(log_probability), static_cast<std::size_t>(to_the_end ? limit : length));
  }
  float worst_ended() const { return is_full() ? ended().back().score : worthless; }

  /// Takes its place among the ended texts; the worst falls out where they are too many.
  void keep(const Continuation& next, const NewTokens& before) {
    Generation& text = ended_[count_];
    before.copy_to(text), text.ids.push_back(next.id), text.token_logprobs.push_back(next.logprob);
    text.logprob = static_cast<double>(next.score), text.stop = next.stop, text.score = strategy_->score(text.logprob, text.ids.size());
    const auto place = std::find_if(ended_.begin(), ended_.begin() + static_cast<std::ptrdiff_t>(count_), [&](const Generation& other) { return other.score < text.score; });
    std::rotate(place, ended_.begin() + static_cast<std::ptrdiff_t>(count_), ended_.begin() + static_cast<std::ptrdiff_t>(count_) + 1);
    count_ = std::min(count_ + 1, beams_);
  }

  const Strategy* strategy_;
  std::size_t beams_;
  std::vector<Generation> ended_;  // one more than beams: where the next one is written
  std::size_t count_ = 0;
  bool open_ = true;               // whether a running beam may yet come among the ended ones
  bool is_over_ = false;
  std::vector<Continuation> running_;
};

}  // namespace terse::decode
