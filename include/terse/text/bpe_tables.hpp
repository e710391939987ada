#pragma once
/// What a byte-level BPE is made of, and what every file of one is checked for.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/byte_alphabet.hpp>
#include <terse/text/pretokenizer.hpp>

namespace terse::text {

/// Two neighbouring tokens become one.
struct BpeMerge {
  TokenId left, right, result;
};

/// A token that is looked for whole, before the text is cut into pieces; no merge makes it.
struct AddedToken {
  TokenId id;
  bool special = true;  ///< only where a text may have such: `<|im_end|>`; else in every text

  bool operator==(const AddedToken&) const = default;
};

/// A vocabulary, its merges, and what else says how a text becomes tokens; Bpe is built from it.
struct BpeTables {
  static constexpr std::string_view end_of_text = "<|endoftext|>";  ///< GPT-2's

  std::vector<std::string> tokens;     ///< (V) the bytes of each id
  std::vector<BpeMerge> merges;        ///< the lower the index, the earlier the merge
  PieceRule piece_rule = PieceRule::gpt2;  ///< inside which BPE merges
  std::vector<AddedToken> added = {};  ///< by id; none: `<|endoftext|>`, special
  TokenId end = -1;                    ///< what ends a text; -1: `<|endoftext|>`

  /// Reads FOLDER/tokenizer.json (read_tokenizer_json), or where there is none FOLDER/vocab.json and FOLDER/merges.txt: a JSON object, token to id, and a
  /// merge a line, "LEFT RIGHT" (the first line may be a "#version" comment), tokens spelled in the byte alphabet.
  /// Ids must be 0 to V-1, each once; `<|endoftext|>` must be there, and the parts and the result of each merge. vocab.json must have the 256 single bytes;
  /// with a tokenizer.json, bytes that it lacks have no token, and are left out of what is encoded, as Hugging Face's tokenizers does.
  /// Errors     Failure::bad_input, naming the file, and the token or the line
  static BpeTables load(const std::filesystem::path& folder);

  /// Whether the folder has files that load reads.
  static bool are_in(const std::filesystem::path& folder);

  /// vocab.json and merges.txt from their texts; `folder` names them in messages.
  static BpeTables parse(std::string_view vocabulary, std::string_view merges, const std::filesystem::path& folder);

  /// Writes what load and transformers' AutoTokenizer read; makes the folder, and removes files in it that would be taken for another tokenizer's.
  /// As GPT-2: vocab.json and merges.txt, byte for byte as GPT-2's are. Else tokenizer.json and tokenizer_config.json, which have what those two can't.
  /// Errors     Failure::cannot_write, naming the file
  void save(const std::filesystem::path& folder) const;
};

namespace detail {

/// A tokenizer's file, for messages; `mend`: what to do where it is wrong.
struct TableSource {
  std::string file;
  std::string_view mend;

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Failure::bad_input, file, parts..., "; ", mend);
  }
};

using TokenIndex = std::unordered_map<std::string_view, TokenId>;

inline TokenIndex index_vocabulary(const TableSource& source, const std::vector<std::string>& tokens) {
  TokenIndex index(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const auto [found, inserted] = index.emplace(tokens[id], static_cast<TokenId>(id));
    if (!inserted) source.refuse(": ", in_quotes(byte_alphabet.spell(tokens[id])), " stands twice, with the ids ", found->second, " and ", id);
  }
  return index;
}

inline void require_all_bytes(const TableSource& source, const TokenIndex& index) {
  for (int byte = 0; byte < ByteAlphabet::size; ++byte) {
    const std::string alone(1, static_cast<char>(byte));
    if (!index.contains(alone))
      source.refuse(": ", in_quotes(byte_alphabet.spell(alone)), " (byte ", byte, ") is missing: without all 256 bytes some texts have no tokens");
  }
}

/// The merges of a list in their order, each checked as it comes. Messages name the merge by `place`.
class MergeList {
 public:
  MergeList(const TokenIndex& index, std::string_view vocabulary_file) : index_(index), vocabulary_file_(vocabulary_file) {}

  /// "LEFT RIGHT", spelled in the byte alphabet; `where`: what stands before the message, `place` and `number` say which merge it is.
  void add(const TableSource& source, const std::string& where, std::string_view place, std::size_t number, std::string_view text) {
    const std::size_t space = text.find(' ');
    const bool one_space = space != text.npos && text.find(' ', space + 1) == text.npos;
    if (!one_space || space == 0 || space + 1 == text.size())
      source.refuse(where, ": two tokens with one space between them expected, ", in_quotes(text), " found");
    const std::string left(text.substr(0, space)), right(text.substr(space + 1));
    const auto id_of = [&](const std::string& spelled) {
      const auto bytes = byte_alphabet.unspell(spelled);
      const auto found = bytes ? index_.find(*bytes) : index_.end();
      if (found == index_.end()) source.refuse(where, ": ", in_quotes(spelled), " isn't in ", vocabulary_file_);
      return found->second;
    };
    const BpeMerge merge{id_of(left), id_of(right), id_of(left + right)};
    const auto pair = std::uint64_t{static_cast<std::uint32_t>(merge.left)} << 32 | static_cast<std::uint32_t>(merge.right);
    if (const auto [first, inserted] = numbers_.emplace(pair, number); !inserted)
      source.refuse(where, ": ", in_quotes(text), " stands ", place, " ", first->second, " already");
    merges_.push_back(merge);
  }
  std::vector<BpeMerge> take() { return std::move(merges_); }

 private:
  const TokenIndex& index_;
  std::string_view vocabulary_file_;
  std::vector<BpeMerge> merges_;
  std::unordered_map<std::uint64_t, std::size_t> numbers_;
};

}  // namespace detail

}  // namespace terse::text
