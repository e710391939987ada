#pragma once
/// Byte-level BPE: the tokenizer of GPT-2, and of those after it.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/bpe_merger.hpp>
#include <terse/text/bpe_tables.hpp>
#include <terse/text/pretokenizer.hpp>
#include <terse/text/tokenizer_folder.hpp>

namespace terse::text {

/// What `<|endoftext|>` and other special tokens inside a text are.
enum class SpecialTokens {
  as_text,    ///< text like any other: right for everything a user wrote
  as_tokens,  ///< those tokens; the texts before and after them are encoded apart
};

/// Text to token ids and back, id for id as tiktoken's and transformers' tokenizers with the same files.
///
/// Any bytes may be encoded, and where the vocabulary has all 256, as GPT-2's has, decode(encode(text)) == text always: malformed UTF-8 becomes
/// tokens of its bytes (Pretokenizer says where it is cut). Bytes that have no token (21 of SmolLM2's, none of them common) are left out. All members are const, so any number of threads may share one Bpe.
class Bpe {
 public:
  /// From FOLDER/tokenizer.json, or FOLDER/vocab.json and FOLDER/merges.txt.
  /// Errors     those of BpeTables::load
  static Bpe load(const std::filesystem::path& folder) { return Bpe(BpeTables::load(folder)); }

  /// From tables that hold what BpeTables::load asks of files.
  explicit Bpe(BpeTables tables);

  /// Writes what load and transformers read.
  /// Errors     those of BpeTables::save
  void save(const std::filesystem::path& folder) const { tables_.save(folder); }

  /// Appends the ids of `text`.
  void encode(std::string_view text, std::vector<TokenId>& ids, SpecialTokens special = SpecialTokens::as_text) const;
  /// The ids of `text`.
  std::vector<TokenId> encode(std::string_view text, SpecialTokens special = SpecialTokens::as_text) const {
    std::vector<TokenId> ids;
    encode(text, ids, special);
    return ids;
  }

  /// The bytes of `ids`: well-formed UTF-8 only if the ids end where characters end.
  /// Errors     Failure::bad_input: no such id
  std::string decode(std::span<const TokenId> ids) const;
  /// The bytes of one token, valid as long as this is; none where there is no such token.
  std::string_view bytes_of(TokenId id) const { return id >= 0 && id < vocabulary() ? std::string_view(token(id)) : std::string_view(); }

  /// Number of tokens, V: ids are below it.
  int vocabulary() const { return static_cast<int>(tables_.tokens.size()); }
  /// What ends a text, as the tokenizer's files say: `<|endoftext|>`, or another (SmolLM2-Instruct's `<|im_end|>`).
  TokenId end_of_text() const { return end_of_text_; }
  /// Tokens and merges.
  const BpeTables& tables() const { return tables_; }

 private:
  void encode_text(std::string_view text, std::vector<TokenId>& ids) const;

  /// The first added token in `text`, the longest of those that begin there; its place and id, or -1.
  std::pair<std::size_t, TokenId> find_added(std::string_view text, SpecialTokens special) const;
  void prepare_added();

  /// Token of the whole piece, or -1.
  TokenId find_piece(std::string_view piece) const {
    const std::uint64_t hash = std::hash<std::string_view>{}(piece);
    for (std::size_t slot = hash & slot_mask();; slot = (slot + 1) & slot_mask()) {
      const Slot& found = slots_[slot];
      if (found.id < 0) return -1;
      if (found.hash == static_cast<std::uint32_t>(hash >> 32) && token(found.id) == piece) return found.id;
    }
  }
  std::size_t slot_mask() const { return slots_.size() - 1; }
  const std::string& token(TokenId id) const { return tables_.tokens[static_cast<std::size_t>(id)]; }

  /// A slot of an open-addressing table that is at most half full.
  struct Slot {
    std::uint32_t hash = 0;
    TokenId id = -1;
  };

  BpeTables tables_;
  BpeMerger merger_;
  Pretokenizer pretokenizer_;
  std::vector<Slot> slots_;
  TokenId end_of_text_ = -1;
  std::vector<AddedToken> added_;            ///< the longest first
  std::array<bool, 256> begins_special_{}, begins_other_{};  ///< bytes that begin an added token
};

inline Bpe::Bpe(BpeTables tables) : tables_(std::move(tables)), merger_(tables_), pretokenizer_(tables_.piece_rule), end_of_text_(tables_.end) {
  slots_.resize(std::bit_ceil(2 * tables_.tokens.size() + 2));
  std::vector<TokenId> merged;
  for (TokenId id = 0; id < vocabulary(); ++id) {
    if (tables_.end < 0 && token(id) == BpeTables::end_of_text) end_of_text_ = id;
    // Only tokens that merging their bytes gives: then looking a piece up is a short cut, never another answer.
    merged.clear();
    merger_.merge(token(id), merged);
    if (merged.size() != 1 || merged[0] != id) continue;
    const std::uint64_t hash = std::hash<std::string_view>{}(token(id));
    std::size_t slot = hash & slot_mask();
    while (slots_[slot].id >= 0) slot = (slot + 1) & slot_mask();
    slots_[slot] = {static_cast<std::uint32_t>(hash >> 32), id};
  }
  if (end_of_text_ < 0) fail(Failure::bad_input, "the vocabulary has no ", BpeTables::end_of_text);
  prepare_added();
}

inline void Bpe::prepare_added() {
  added_ = tables_.added;
  if (added_.empty()) added_.push_back({end_of_text_});
  std::stable_sort(added_.begin(), added_.end(), [this](AddedToken a, AddedToken b) { return token(a.id).size() > token(b.id).size(); });
  for (const AddedToken added : added_) (added.special ? begins_special_ : begins_other_)[static_cast<unsigned char>(token(added.id)[0])] = true;
}

inline std::pair<std::size_t, TokenId> Bpe::find_added(std::string_view text, SpecialTokens special) const {
  const bool specials = special == SpecialTokens::as_tokens;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (!begins_other_[byte] && !(specials && begins_special_[byte])) continue;
    for (const AddedToken added : added_)
      if ((specials || !added.special) && text.substr(at).starts_with(token(added.id))) return {at, added.id};
  }
  return {text.size(), -1};
}

inline void Bpe::encode_text(std::string_view text, std::vector<TokenId>& ids) const {
  pretokenizer_.for_each_piece(text, [&](std::string_view piece) {
    const TokenId id = find_piece(piece);
    id >= 0 ? ids.push_back(id) : merger_.merge(piece, ids);
  });
}

inline void Bpe::encode(std::string_view text, std::vector<TokenId>& ids, SpecialTokens special) const {
  const bool none = special == SpecialTokens::as_text && std::all_of(added_.begin(), added_.end(), [](AddedToken added) { return added.special; });
  while (!none) {
    const auto [at, id] = find_added(text, special);
    if (id < 0) break;
    encode_text(text.substr(0, at), ids);
    ids.push_back(id);
    text.remove_prefix(at + token(id).size());
  }
  encode_text(text, ids);
}

inline std::string Bpe::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) {
    if (id < 0 || id >= vocabulary()) {
      fail(Failure::bad_input, "token id ", id, " isn't one of the vocabulary's 0 to ", vocabulary() - 1);
    }
    text += token(id);
  }
  return text;
}

}  // namespace terse::text
