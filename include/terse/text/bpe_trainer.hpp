#pragma once
/// Learns a byte-level BPE from texts.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/bpe.hpp>

namespace terse::text {

/// What a tokenizer is learned by.
struct BpeTraining {
  int vocabulary = 4096;         ///< tokens, the 256 bytes and `<|endoftext|>` among them
  std::int64_t least_count = 2;  ///< a pair of neighbours seen fewer times isn't merged
};

namespace detail {

/// The state of training, merge by merge. Each distinct word (piece of the pre-tokenizer) is held once, with its count.
///
/// The merges are those of Hugging Face tokenizers' BpeTrainer, which is why two of its habits are kept: when two different
/// pairs spell one token, a pair of that token may have several candidates, each knowing some of the words; and such a
/// pair can be merged twice, the later merge being the one that counts.
class BpeLearner {
 public:
  explicit BpeLearner(const std::unordered_map<std::string, std::int64_t>& words);
  BpeTables learn(BpeTraining options);

 private:
  using Pair = std::uint64_t;  ///< left above right, so that comparing numbers compares (left, right)
  static Pair pair(TokenId left, TokenId right) {
    return Pair{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  static TokenId left(Pair pair) { return static_cast<TokenId>(pair >> 32); }
  static TokenId right(Pair pair) { return static_cast<TokenId>(static_cast<std::uint32_t>(pair)); }

  using WordIndex = std::uint32_t;
  struct Candidate {
    std::int64_t count;  ///< when it was queued; the count may have fallen since
    Pair pair;
    std::vector<WordIndex> words;  ///< where the pair stood then
    /// The highest count comes first, then the lowest pair.
    bool operator<(const Candidate& other) const { return std::tie(count, other.pair) < std::tie(other.count, pair); }
  };

  TokenId token_of(Pair pair);
  void merge_in_word(WordIndex word, Pair pair, TokenId merged);
  void change_count(Pair pair, WordIndex word, std::int64_t times);
  void queue_new_candidates();
  std::vector<BpeMerge> last_of_each(const std::vector<BpeMerge>& merges) const;

  std::vector<std::vector<TokenId>> words_;
  std::vector<std::int64_t> word_counts_;
  std::unordered_map<Pair, std::int64_t> pair_counts_;
  std::unordered_map<Pair, std::vector<WordIndex>> grown_;  ///< pairs whose count has grown, and in which words
  std::vector<Candidate> queue_;                            ///< a heap
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, TokenId> ids_;
};

inline BpeLearner::BpeLearner(const std::unordered_map<std::string, std::int64_t>& words) {
  for (int id = 0; id < ByteAlphabet::size; ++id) {
    tokens_.emplace_back(1, static_cast<char>(byte_alphabet.byte_of_id(id)));
    ids_.emplace(tokens_.back(), id);
  }
  for (const auto& [word, count] : words) {
    std::vector<TokenId> ids;
    for (const char byte : word) ids.push_back(ids_.at(std::string(1, byte)));
    words_.push_back(std::move(ids));
    word_counts_.push_back(count);
  }
  for (WordIndex word = 0; word < words_.size(); ++word) {
    const auto& ids = words_[word];
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) change_count(pair(ids[i], ids[i + 1]), word, 1);
  }
  queue_new_candidates();
}

inline BpeTables BpeLearner::learn(BpeTraining options) {
  const auto room = static_cast<std::size_t>(options.vocabulary - 1);  // <|endoftext|> comes last
  std::vector<BpeMerge> merges;
  while (tokens_.size() < room && !queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end());
    Candidate best = std::move(queue_.back());
    queue_.pop_back();
    if (const std::int64_t count = pair_counts_.at(best.pair); count != best.count) {
      best.count = count;
      queue_.push_back(std::move(best));
      std::push_heap(queue_.begin(), queue_.end());
      continue;
    }
    if (best.count < std::max<std::int64_t>(1, options.least_count)) break;
    const TokenId merged = token_of(best.pair);
    merges.push_back({left(best.pair), right(best.pair), merged});
    for (const WordIndex word : best.words) merge_in_word(word, best.pair, merged);
    queue_new_candidates();
  }
  BpeTables tables{tokens_, last_of_each(merges)};
  tables.tokens.emplace_back(BpeTables::end_of_text);
  return tables;
}

/// The id of the pair's bytes; a new one, unless another pair has spelled the same bytes before.
inline TokenId BpeLearner::token_of(Pair pair) {
  std::string bytes = tokens_[static_cast<std::size_t>(left(pair))] + tokens_[static_cast<std::size_t>(right(pair))];
  const auto [found, inserted] = ids_.emplace(bytes, static_cast<TokenId>(tokens_.size()));
  if (inserted) tokens_.push_back(std::move(bytes));
  return found->second;
}

inline void BpeLearner::merge_in_word(WordIndex word, Pair merging, TokenId merged) {
  auto& ids = words_[word];
  std::size_t written = 0;
  for (std::size_t read = 0; read < ids.size(); ++read, ++written) {
    const bool found = read + 1 < ids.size() && pair(ids[read], ids[read + 1]) == merging;
    if (!found) {
      ids[written] = ids[read];
      continue;
    }
    if (written > 0) {
      change_count(pair(ids[written - 1], ids[read]), word, -1);
      change_count(pair(ids[written - 1], merged), word, 1);
    }
    if (read + 2 < ids.size()) {
      change_count(pair(ids[read + 1], ids[read + 2]), word, -1);
      change_count(pair(merged, ids[read + 2]), word, 1);
    }
    ids[written] = merged;
    ++read;
  }
  ids.resize(written);
}

inline void BpeLearner::change_count(Pair pair, WordIndex word, std::int64_t times) {
  pair_counts_[pair] += times * word_counts_[word];
  if (times <= 0) return;
  auto& words = grown_[pair];
  if (words.empty() || words.back() != word) words.push_back(word);
}

inline void BpeLearner::queue_new_candidates() {
  for (auto& [pair, words] : grown_) {
    if (const std::int64_t count = pair_counts_.at(pair); count > 0) {
      queue_.push_back({count, pair, std::move(words)});
      std::push_heap(queue_.begin(), queue_.end());
    }
  }
  grown_.clear();
}

inline std::vector<BpeMerge> BpeLearner::last_of_each(const std::vector<BpeMerge>& merges) const {
  std::unordered_map<Pair, std::size_t> last;
  for (std::size_t i = 0; i < merges.size(); ++i) last[pair(merges[i].left, merges[i].right)] = i;
  std::vector<BpeMerge> kept;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (last.at(pair(merges[i].left, merges[i].right)) == i) kept.push_back(merges[i]);
  }
  return kept;
}

}  // namespace detail

/// A tokenizer with GPT-2's pre-tokenizer whose merges are learned from `documents` (a range of strings): again and again
/// the pair of neighbouring tokens with the highest count becomes a token, the lowest ids first among equals.
/// Ids: the 256 bytes in GPT-2's order, the merges' tokens, `<|endoftext|>` last. Merges equal those of Hugging Face
/// tokenizers' ByteLevel BpeTrainer (min_frequency = least_count). The same texts in another order give the same tokenizer.
/// With few texts the pairs run out, and the vocabulary is smaller than asked for.
/// Errors     Failure::usage: a vocabulary below 257
template <class Documents>
Bpe train_bpe(const Documents& documents, BpeTraining options) {
  constexpr int least = ByteAlphabet::size + 1;
  if (options.vocabulary < least) {
    fail(Failure::usage, "a vocabulary of ", options.vocabulary, " is too small: 256 bytes and ", BpeTables::end_of_text,
         " need ", least);
  }
  const Pretokenizer pretokenizer;
  std::unordered_map<std::string, std::int64_t> words;
  for (const auto& document : documents) {
    pretokenizer.for_each_piece(document, [&](std::string_view piece) { ++words[std::string(piece)]; });
  }
  return Bpe(detail::BpeLearner(words).learn(options));
}

}  // namespace terse::text
