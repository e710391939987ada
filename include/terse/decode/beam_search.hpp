#pragma once
/// The bookkeeping of a beam search: which beams go on, and which texts have ended. Rules and arithmetic are those of transformers 5.23's `generate`.

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
  bool ends = false;
  Stop stop = Stop::cancelled;  ///< where it ends
};

/// The beams of one prompt. All memory is taken at construction.
class BeamSearch {
 public:
  BeamSearch(const Strategy& strategy, Index most_new) : strategy_(&strategy), ended_(static_cast<std::size_t>(strategy.beams) + 1) {
    for (auto& text : ended_) text.ids.reserve(static_cast<std::size_t>(most_new));
    running_.reserve(static_cast<std::size_t>(strategy.beams));
  }

  void begin() { count_ = 0, open_ = true, running_.clear(); }

  /// One step. `continuations`: the 2 * beams best, best first; with the token they have `length` new tokens, of at most `limit`. `new_ids(beam)`: those of a running
  /// beam so far. False where the search is over.
  template <class NewIds>
  bool advance(std::span<const Continuation> continuations, int length, int limit, NewIds&& new_ids) {
    const auto beams = static_cast<std::size_t>(strategy_->beams);
    const bool takes = open_ && !(is_full() && strategy_->early_stopping == EarlyStopping::yes);
    running_.clear();
    for (std::size_t rank = 0; rank < continuations.size(); ++rank) {
      const auto& next = continuations[rank];
      if (!next.ends && running_.size() < beams) running_.push_back(next);
      if (next.ends && rank < beams && takes) keep(next, new_ids(next.beam));
    }
    const float best = running_.empty() ? worthless : running_[0].score;
    const bool to_the_end = strategy_->early_stopping == EarlyStopping::never && strategy_->length_penalty > 0;
    open_ = open_ && strategy_->score(static_cast<double>(best), static_cast<std::size_t>(to_the_end ? limit : length)) > (is_full() ? ended().back().score : worthless);
    return open_ && !running_.empty() && !(is_full() && strategy_->early_stopping == EarlyStopping::yes);
  }

  /// How the beams go on, best first.
  std::span<const Continuation> running() const { return running_; }
  /// Texts that have ended, at most as many as beams, best first.
  std::span<const Generation> ended() const { return std::span(ended_).first(count_); }

 private:
  static constexpr float worthless = -1e9f;

  bool is_full() const { return count_ == static_cast<std::size_t>(strategy_->beams); }

  /// Takes its place among the ended texts; the worst falls out where they are too many.
  void keep(const Continuation& next, std::span<const TokenId> before) {
    Generation& text = ended_[count_];
    text.ids.assign(before.begin(), before.end()), text.ids.push_back(next.id);
    text.logprob = static_cast<double>(next.score), text.stop = next.stop, text.score = strategy_->score(text.logprob, text.ids.size());
    const auto place = std::find_if(ended_.begin(), ended_.begin() + static_cast<std::ptrdiff_t>(count_), [&](const Generation& other) { return other.score < text.score; });
    std::rotate(place, ended_.begin() + static_cast<std::ptrdiff_t>(count_), ended_.begin() + static_cast<std::ptrdiff_t>(count_) + 1);
    count_ = std::min(count_ + 1, static_cast<std::size_t>(strategy_->beams));
  }

  const Strategy* strategy_;
  std::vector<Generation> ended_;  // one more than beams: where the next one is written
  std::size_t count_ = 0;
  bool open_ = true;  // whether a running beam may yet come among the ended ones
  std::vector<Continuation> running_;
};

}  // namespace terse::decode
