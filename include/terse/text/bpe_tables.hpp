#pragma once
/// What a byte-level BPE is made of, and the two files that hold it.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/read_file.hpp>
#include <terse/text/byte_alphabet.hpp>

namespace terse::text {

/// Two neighbouring tokens become one.
struct BpeMerge {
  TokenId left, right, result;
};

/// A vocabulary and its merges; Bpe is built from it.
struct BpeTables {
  static constexpr std::string_view end_of_text = "<|endoftext|>";

  std::vector<std::string> tokens;  ///< (V) the bytes of each id
  std::vector<BpeMerge> merges;     ///< the lower the index, the earlier the merge

  /// Reads FOLDER/vocab.json (a JSON object, token to id) and FOLDER/merges.txt (a merge a line, "LEFT RIGHT"; the first
  /// line may be a "#version" comment), tokens spelled in the byte alphabet.
  /// Ids must be 0 to V-1, each once; the 256 single bytes and `<|endoftext|>` must be there, and the parts and the result of each merge.
  /// Errors     Failure::bad_input, naming the file, and the token or the line
  static BpeTables load(const std::filesystem::path& folder);

  /// The same of the two files' texts; `folder` names them in messages.
  static BpeTables parse(std::string_view vocabulary, std::string_view merges, const std::filesystem::path& folder);

  /// Writes the two files, byte for byte as GPT-2's are; makes the folder. transformers' GPT2Tokenizer reads them.
  /// Errors     Failure::cannot_write, naming the file
  void save(const std::filesystem::path& folder) const;
};

namespace detail {

template <class... Parts>
[[noreturn]] void refuse_table(const std::string& file, const Parts&... parts) {
  fail(Failure::bad_input, file, parts..., "; copy vocab.json and merges.txt again, both of the same tokenizer");
}

/// vocab.json's entries as they stand, duplicates too.
inline std::vector<std::pair<std::string, TokenId>> vocabulary_entries(std::string_view text, const std::string& file) {
  using Json = nlohmann::json;
  std::vector<std::pair<std::string, TokenId>> entries;
  std::string token;
  const auto collect = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      token = parsed.get_ref<const std::string&>();
    } else if (event == Json::parse_event_t::value && depth == 1) {
      const bool is_id = parsed.is_number_integer() && parsed >= 0 && parsed <= std::int64_t{INT32_MAX};
      if (!is_id) refuse_table(file, ": ", in_quotes(token), " has no id but ", in_words(parsed));
      entries.emplace_back(std::move(token), parsed.get<TokenId>());
      return false;  // it needn't go into a document too
    } else if (depth > 0 && event != Json::parse_event_t::key) {
      refuse_table(file, ": ", in_quotes(token), " has no id but an array or an object");
    } else if (event == Json::parse_event_t::array_start || event == Json::parse_event_t::value) {
      refuse_table(file, ": one JSON object of tokens and their ids is expected");
    }
    return true;
  };
  try {
    [[maybe_unused]] const Json nothing_left = Json::parse(text, collect);
  } catch (const Json::parse_error& error) {
    const std::size_t position = std::min(error.byte, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n');
    refuse_table(file, ":", line, ": not JSON at byte ", position);
  } catch (const Json::out_of_range&) {  // 1e999
    refuse_table(file, ": ", in_quotes(token), " has a number too large for an id");
  }
  return entries;
}

inline std::vector<std::string> vocabulary_of(std::string_view text, const std::string& file) {
  const auto entries = vocabulary_entries(text, file);
  std::vector<std::string> tokens(entries.size());
  std::vector<const std::string*> spelled(entries.size(), nullptr);
  for (const auto& [token, id] : entries) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= entries.size()) {
      refuse_table(file, ": ", in_quotes(token), " has the id ", id, ", but ", entries.size(), " tokens have the ids 0 to ", entries.size() - 1);
    }
    if (spelled[index] != nullptr) {
      refuse_table(file, ": ", in_quotes(*spelled[index]), " and ", in_quotes(token), " both have the id ", id);
    }
    spelled[index] = &token;
    auto bytes = byte_alphabet.unspell(token);
    if (!bytes || bytes->empty()) {
      refuse_table(file, ": ", in_quotes(token), " isn't spelled in GPT-2's byte alphabet");
    }
    tokens[index] = std::move(*bytes);
  }
  return tokens;
}

using TokenIndex = std::unordered_map<std::string_view, TokenId>;

inline TokenIndex index_vocabulary(const std::string& file, const std::vector<std::string>& tokens) {
  TokenIndex index(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const auto [found, inserted] = index.emplace(tokens[id], static_cast<TokenId>(id));
    if (!inserted) {
      refuse_table(file, ": ", in_quotes(byte_alphabet.spell(tokens[id])), " stands twice, with the ids ", found->second, " and ", id);
    }
  }
  for (int byte = 0; byte < ByteAlphabet::size; ++byte) {
    const std::string alone(1, static_cast<char>(byte));
    if (!index.contains(alone)) {
      refuse_table(file, ": ", in_quotes(byte_alphabet.spell(alone)), " (byte ", byte, ") is missing: without all 256 bytes some texts have no tokens");
    }
  }
  if (!index.contains(BpeTables::end_of_text)) {
    refuse_table(file, ": ", in_quotes(BpeTables::end_of_text), " is missing");
  }
  return index;
}

inline std::vector<BpeMerge> merges_of(std::string_view all, const std::string& file, const TokenIndex& index) {
  std::vector<BpeMerge> merges;
  std::unordered_map<std::uint64_t, std::size_t> lines;
  for (std::size_t line = 1; !all.empty(); ++line) {
    const std::string text(all.substr(0, all.find('\n')));
    all.remove_prefix(std::min(text.size() + 1, all.size()));
    if (line == 1 && text.starts_with("#version")) continue;
    const std::size_t space = text.find(' ');
    const bool one_space = space != std::string::npos && text.find(' ', space + 1) == std::string::npos;
    if (!one_space || space == 0 || space + 1 == text.size()) {
      refuse_table(file, ":", line, ": two tokens with one space between them expected, ",
           in_quotes(text), " found");
    }
    const auto id_of = [&](const std::string& spelled) {
      const auto bytes = byte_alphabet.unspell(spelled);
      const auto found = bytes ? index.find(*bytes) : index.end();
      if (found == index.end()) {
        refuse_table(file, ":", line, ": ", in_quotes(spelled), " isn't in vocab.json");
      }
      return found->second;
    };
    const std::string left = text.substr(0, space), right = text.substr(space + 1);
    const BpeMerge merge{id_of(left), id_of(right), id_of(left + right)};
    const auto pair = std::uint64_t{static_cast<std::uint32_t>(merge.left)} << 32 | static_cast<std::uint32_t>(merge.right);
    if (const auto [first, inserted] = lines.emplace(pair, line); !inserted) {
      refuse_table(file, ":", line, ": ", in_quotes(text), " stands on line ", first->second, " already");
    }
    merges.push_back(merge);
  }
  return merges;
}

template <class Write>
void write_file(const std::filesystem::path& file, Write&& write) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  write(out);
  out.close();
  if (!out) fail(Failure::cannot_write, file.string(), ": cannot be written; is the disk full or the folder read-only?");
}

}  // namespace detail

inline BpeTables BpeTables::parse(std::string_view vocabulary, std::string_view merges, const std::filesystem::path& folder) {
  BpeTables tables;
  const std::string vocabulary_file = (folder / "vocab.json").string();
  tables.tokens = detail::vocabulary_of(vocabulary, vocabulary_file);
  tables.merges = detail::merges_of(merges, (folder / "merges.txt").string(), detail::index_vocabulary(vocabulary_file, tables.tokens));
  return tables;
}

inline BpeTables BpeTables::load(const std::filesystem::path& folder) {
  constexpr std::string_view hint = "a tokenizer is a folder with vocab.json and merges.txt";
  const std::string vocabulary = read_file(folder / "vocab.json", hint), merges = read_file(folder / "merges.txt", hint);
  return parse(vocabulary, merges, folder);
}

inline void BpeTables::save(const std::filesystem::path& folder) const {
  std::error_code ignored;  // a folder that can't be made shows when the first file can't be written
  std::filesystem::create_directories(folder, ignored);
  detail::write_file(folder / "vocab.json", [this](std::ostream& out) {
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      out << (id == 0 ? "{" : ", ") << nlohmann::json(byte_alphabet.spell(tokens[id])).dump(-1, ' ', true) << ": " << id;
    }
    out << "}";
  });
  detail::write_file(folder / "merges.txt", [this](std::ostream& out) {
    out << "#version: 0.2\n";
    const auto spelled = [this](TokenId id) { return byte_alphabet.spell(tokens[static_cast<std::size_t>(id)]); };
    for (const BpeMerge& merge : merges) out << spelled(merge.left) << " " << spelled(merge.right) << "\n";
  });
}

}  // namespace terse::text
