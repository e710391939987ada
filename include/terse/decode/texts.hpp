#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include <terse/core/packed_batch.hpp>
#include <terse/core/shape.hpp>
#include <terse/decode/drafts.hpp>
#include <terse/decode/generation.hpp>
#include <terse/decode/rules.hpp>

namespace terse::decode {

/// A text in a slot: its tokens are the prompt's, then the new ones.
struct Text {
  Index length = 0, prompt = 0;  ///< tokens; of them the prompt's
  Index read = 0;                ///< tokens whose keys and values the cache has
  bool is_written = false;       ///< false: the slot is free, or waits for the first text of its prompt to be read
  double logprob = 0;
  DraftRecord drafts;

  Index unread() const { return length - read; }
};

/// The texts of all slots, their tokens, and where in the cache each position stands. `slots` texts belong to a prompt together: its group.
class Texts {
 public:
  /// `sources` (slots, context) is written here.
  Texts(Index slots, Index context, std::int32_t* sources)
      : context_(context), texts_(static_cast<std::size_t>(slots)), ids_(static_cast<std::size_t>(slots * context)), logprobs_(ids_.size()), sources_(sources), old_(ids_.size()), old_logprobs_(ids_.size()), old_sources_(ids_.size()) {
    for (Index s = 0; s < slots; ++s) std::fill_n(sources_ + s * context, context, static_cast<std::int32_t>(s));
  }

  Text& operator[](Index slot) { return texts_[static_cast<std::size_t>(slot)]; }
  const Text& operator[](Index slot) const { return texts_[static_cast<std::size_t>(slot)]; }
  /// All that may be written: the text's tokens, and room up to the context.
  std::span<TokenId> room(Index slot) { return std::span(ids_).subspan(static_cast<std::size_t>(slot * context_), static_cast<std::size_t>(context_)); }
  /// The first `length` tokens.
  std::span<const TokenId> ids(Index slot, Index length) const { return std::span(ids_).subspan(static_cast<std::size_t>(slot * context_), static_cast<std::size_t>(length)); }
  NewTokens new_tokens(Index slot) const {
    const Text& text = (*this)[slot];
    const auto prompt = static_cast<std::size_t>(text.prompt);
    const auto new_ids = ids(slot, text.length).subspan(prompt);
    return {new_ids, std::span(logprobs_).subspan(static_cast<std::size_t>(slot * context_) + prompt, new_ids.size())};
  }

  /// The slot's text is a prompt, the first `shared` tokens of which slot 0 has read, or will before the others go on.
  void begin(Index slot, std::span<const TokenId> prompt, Index shared) {
    (*this)[slot] = {.length = static_cast<Index>(prompt.size()), .prompt = static_cast<Index>(prompt.size()), .read = shared, .is_written = true, .logprob = 0, .drafts = {}};
    std::copy(prompt.begin(), prompt.end(), room(slot).begin());
    std::fill_n(sources_of(slot), context_, static_cast<std::int32_t>(slot));
    std::fill_n(sources_of(slot), shared, std::int32_t{0});
  }
  /// The slot's text becomes a copy of another's.
  void copy(Index from, Index to) {
    if (from == to) return;
    (*this)[to] = (*this)[from];
    take_over(ids_, logprobs_, sources_, from, (*this)[from].length, to);
  }
  void append(Index slot, TokenId id, double logprob) {
    Text& text = (*this)[slot];
    const auto at = static_cast<std::size_t>(slot * context_ + text.length++);
    ids_[at] = id, logprobs_[at] = static_cast<float>(logprob), text.logprob += logprob;
  }

  /// Puts the texts of slots [first, first + count) aside, each `length` tokens, for `restore` to take them from.
  void save(Index first, Index count, Index length) {
    saved_length_ = length;
    for (Index s = first; s < first + count; ++s) {
      const Index at = s * context_;
      std::copy_n(ids_.begin() + at, length, old_.begin() + at), std::copy_n(logprobs_.begin() + at, length, old_logprobs_.begin() + at);
      std::copy_n(sources_ + at, length, old_sources_.begin() + at);
    }
  }
  /// The slot's text becomes what slot `from` had; all that were saved have the same length.
  void restore(Index from, Index to) {
    (*this)[to].length = (*this)[to].read = saved_length_;
    take_over(old_, old_logprobs_, old_sources_.data(), from, saved_length_, to);
  }

 private:
  std::int32_t* sources_of(Index slot) { return sources_ + slot * context_; }
  /// The first `length` tokens of slot `from`, as they are in `ids`, `logprobs` and `sources`. New tokens are written into the slot itself.
  void take_over(const std::vector<TokenId>& ids, const std::vector<float>& logprobs, const std::int32_t* sources, Index from, Index length, Index to) {
    const Index at = from * context_;
    std::copy_n(ids.begin() + at, length, ids_.begin() + to * context_), std::copy_n(logprobs.begin() + at, length, logprobs_.begin() + to * context_);
    std::copy_n(sources + at, length, sources_of(to));
    std::fill(sources_of(to) + length, sources_of(to) + context_, static_cast<std::int32_t>(to));
  }

  Index context_;
  std::vector<Text> texts_;
  std::vector<TokenId> ids_;     // (slots, context)
  std::vector<float> logprobs_;  // (slots, context), of new tokens
  std::int32_t* sources_;        // (slots, context)
  std::vector<TokenId> old_;     // (slots, context), as are these
  std::vector<float> old_logprobs_;
  std::vector<std::int32_t> old_sources_;
  Index saved_length_ = 0;
};

}  // namespace terse::decode
