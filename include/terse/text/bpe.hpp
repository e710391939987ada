#pragma once
/// GPT-2's tokenizer: byte-level BPE.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/bpe_merger.hpp>
#include <terse/text/bpe_tables.hpp>
#include <terse/text/piece_table.hpp>
#include <terse/text/pretokenizer.hpp>

namespace terse::text {

/// What `<|endoftext|>` inside a text is.
enum class SpecialTokens {
  as_text,    ///< text like any other: right for everything a user wrote
  as_tokens,  ///< the end-of-text token; the texts before and after it are encoded apart
};

/// Text to token ids and back, id for id as tiktoken's and transformers' GPT-2 tokenizers with the same two files.
///
/// Any bytes may be encoded, and decode(encode(text)) == text always: malformed UTF-8 becomes tokens of its bytes
/// (Pretokenizer says where it is cut). All members are const, so any number of threads may share one Bpe.
class Bpe {
 public:
  /// From FOLDER/vocab.json and FOLDER/merges.txt.
  /// Errors     those of BpeTables::load
  static Bpe load(const std::filesystem::path& folder) { return Bpe(BpeTables::load(folder)); }

  /// From tables that hold what BpeTables::load asks of files.
  explicit Bpe(BpeTables tables);

  /// Writes FOLDER/vocab.json and FOLDER/merges.txt.
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
  /// The id of `<|endoftext|>`.
  TokenId end_of_text() const { return end_of_text_; }
  /// Tokens and merges.
  const BpeTables& tables() const { return tables_; }

 private:
  void encode_text(std::string_view text, std::vector<TokenId>& ids) const;

  const std::string& token(TokenId id) const { return tables_.tokens[static_cast<std::size_t>(id)]; }

  BpeTables tables_;
  BpeMerger merger_;
  Pretokenizer pretokenizer_;
  PieceTable pieces_;  ///< only tokens that merging their bytes gives: then looking a piece up is a short cut, never another answer
  TokenId end_of_text_ = -1;
};

inline Bpe::Bpe(BpeTables tables) : tables_(std::move(tables)), merger_(tables_), pieces_(tables_.tokens.size()) {
  std::vector<TokenId> merged;
  for (TokenId id = 0; id < vocabulary(); ++id) {
    if (token(id) == BpeTables::end_of_text) end_of_text_ = id;
    merged.clear();
    merger_.merge(token(id), merged);
    if (merged.size() == 1 && merged[0] == id) pieces_.add(token(id), id);
  }
  if (end_of_text_ < 0) fail(Failure::bad_input, "the vocabulary has no ", BpeTables::end_of_text);
}

inline void Bpe::encode_text(std::string_view text, std::vector<TokenId>& ids) const {
  const char* const end = text.data() + text.size();
  pretokenizer_.for_each_piece(text, [&](std::string_view piece) {
    const TokenId id = pieces_.find(piece, static_cast<std::size_t>(end - piece.data()), tables_.tokens);
    id >= 0 ? ids.push_back(id) : merger_.merge(piece, ids);
  });
}

inline void Bpe::encode(std::string_view text, std::vector<TokenId>& ids, SpecialTokens special) const {
  if (special == SpecialTokens::as_tokens) {
    for (std::size_t at; (at = text.find(BpeTables::end_of_text)) != std::string_view::npos;) {
      encode_text(text.substr(0, at), ids);
      ids.push_back(end_of_text_);
      text.remove_prefix(at + BpeTables::end_of_text.size());
    }
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
