#pragma once
/// Rules: what a text's past says about its next token. A rule edits single logits before a token is chosen; it sees tokens, never logits, so
/// edits are known before the model has run and cost next to nothing on any device.
///
/// A rule of one's own is a struct with `void edit(const History&, Edits&) const`; it goes into a strategy beside these (strategy.hpp).
/// Names, order and meaning are those of transformers 5.23's logits processors.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/ops/logits/op.hpp>

namespace terse::decode {

/// A text as far as it is written.
struct History {
  std::span<const TokenId> ids;  ///< prompt and new tokens
  std::size_t prompt = 0;        ///< how many of them are the prompt's
  TokenId end_of_text = -1;      ///< -1: none

  std::span<const TokenId> new_ids() const { return ids.subspan(prompt); }
};

/// The edits of a text's next logits, in the order they are made. Takes memory at construction alone.
class Edits {
 public:
  /// For texts of models with so many tokens; at most `most` edits of a text.
  Edits(Index vocabulary, Index most, std::span<ops::LogitEdit> room) : penalized_(static_cast<std::size_t>(vocabulary)), room_(room), most_(static_cast<std::size_t>(most)) {}

  /// This token can't come next.
  void ban(TokenId id) { push(id, ops::LogitEdit::Kind::ban); }
  /// No other token can come next.
  void only(TokenId id) { push(id, ops::LogitEdit::Kind::only); }
  void add(TokenId id, float amount) { push(id, ops::LogitEdit::Kind::add, amount); }
  /// Divides the token's logit by `amount` where it is positive, multiplies it where negative; once for each token, however often it is said.
  void penalize(TokenId id, float amount) {
    if (!in_vocabulary(id) || penalized_[static_cast<std::size_t>(id)] == text_) return;
    penalized_[static_cast<std::size_t>(id)] = text_;
    push(id, ops::LogitEdit::Kind::penalize, amount);
  }

  /// From now on the edits are those of another text's logits.
  void begin_text() { ++text_, limit_ = std::min(size_ + most_, room_.size()); }
  void clear() { size_ = 0; }
  /// Of all texts since `clear`.
  std::int32_t size() const { return static_cast<std::int32_t>(size_); }

 private:
  bool in_vocabulary(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < penalized_.size(); }
  /// Tokens that the model doesn't have are passed over.
  void push(TokenId id, ops::LogitEdit::Kind kind, float amount = 0) {
    if (!in_vocabulary(id)) return;
    if (size_ == limit_) fail(Failure::usage, "a decoding rule makes more edits than there are tokens in the vocabulary; ban a token once");
    room_[size_++] = {id, kind, amount};
  }

  std::vector<std::uint64_t> penalized_;  ///< the text that last penalized a token
  std::span<ops::LogitEdit> room_;
  std::size_t most_, limit_ = 0;  ///< of each text, so that none has what room others left: else it would depend on them
  std::uint64_t text_ = 0;
  std::size_t size_ = 0;
};

/// Tokens of the text, the prompt's among them, become less likely (Keskar et al. 2019, "CTRL", arXiv:1909.05858).
struct RepetitionPenalty {
  float penalty = 1;  ///< above 0; above 1: less likely; 1: off
  void edit(const History& text, Edits& edits) const {
    if (penalty == 1) return;
    for (const TokenId id : text.ids) edits.penalize(id, penalty);
  }
};

/// No run of `size` tokens comes twice in prompt and text (Paulus et al. 2017, arXiv:1705.04304).
struct NoRepeatNgram {
  int size = 0;  ///< 0: off
  void edit(const History& text, Edits& edits) const {
    const auto n = static_cast<std::size_t>(size);
    if (n == 0 || text.ids.size() < n) return;
    const auto begin = text.ids.last(n - 1);
    for (std::size_t i = 0; i + n <= text.ids.size(); ++i)
      if (std::ranges::equal(text.ids.subspan(i, n - 1), begin)) edits.ban(text.ids[i + n - 1]);
  }
};

/// None of these sequences of tokens is completed. One that is just the end-of-text is passed over, as is one longer than the text so far: transformers' rules.
struct BadWords {
  std::vector<std::vector<TokenId>> words{};
  void edit(const History& text, Edits& edits) const {
    for (const auto& word : words) {
      if (word.size() == 1 ? word[0] == text.end_of_text : word.empty() || word.size() > text.ids.size()) continue;
      const auto begin = std::span(word).first(word.size() - 1);
      if (std::ranges::equal(text.ids.last(begin.size()), begin)) edits.ban(word.back());
    }
  }
};

/// The text doesn't end before it has so many new tokens.
struct MinNew {
  int count = 0;
  void edit(const History& text, Edits& edits) const {
    if (static_cast<int>(text.new_ids().size()) < count) edits.ban(text.end_of_text);
  }
};

/// What the new text begins with.
struct ForcedTokens {
  std::vector<TokenId> ids{};
  void edit(const History& text, Edits& edits) const {
    if (text.new_ids().size() < ids.size()) edits.only(ids[text.new_ids().size()]);
  }
};

}  // namespace terse::decode
