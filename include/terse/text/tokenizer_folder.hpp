#pragma once
/// A tokenizer in a folder, in the files that say all of it.

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include <terse/core/read_file.hpp>
#include <terse/text/bpe_tables.hpp>
#include <terse/text/tokenizer_json.hpp>
#include <terse/text/vocabulary_files.hpp>

namespace terse::text {

namespace detail {

/// Whether vocab.json and merges.txt say all there is to say.
inline bool is_as_gpt2(const BpeTables& tables) {
  const auto end = std::find(tables.tokens.begin(), tables.tokens.end(), BpeTables::end_of_text) - tables.tokens.begin();
  const bool ends = tables.end == -1 || tables.end == end, adds = tables.added.empty() || (tables.added.size() == 1 && tables.added[0] == AddedToken{static_cast<TokenId>(end)});
  const auto bytes = std::count_if(tables.tokens.begin(), tables.tokens.end(), [](const std::string& token) { return token.size() == 1; });
  return tables.piece_rule == PieceRule::gpt2 && ends && adds && bytes == ByteAlphabet::size;
}

}  // namespace detail

inline bool BpeTables::are_in(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / "tokenizer.json", ignored) || std::filesystem::exists(folder / "vocab.json", ignored);
}

inline BpeTables BpeTables::load(const std::filesystem::path& folder) {
  constexpr std::string_view hint = "a tokenizer is a folder with tokenizer.json, or vocab.json and merges.txt";
  if (std::filesystem::exists(folder / "tokenizer.json")) {
    const auto config = folder / "tokenizer_config.json";
    return read_tokenizer_json(read_file(folder / "tokenizer.json", hint), std::filesystem::exists(config) ? read_file(config, hint) : "", folder);
  }
  const std::string vocabulary = read_file(folder / "vocab.json", hint), merges = read_file(folder / "merges.txt", hint);
  return parse(vocabulary, merges, folder);
}

inline void BpeTables::save(const std::filesystem::path& folder) const {
  std::error_code ignored;  // a folder that can't be made shows when the first file can't be written
  std::filesystem::create_directories(folder, ignored);
  const bool as_gpt2 = detail::is_as_gpt2(*this);
  for (const char* const other : {as_gpt2 ? "tokenizer.json" : "vocab.json", as_gpt2 ? "tokenizer_config.json" : "merges.txt"}) std::filesystem::remove(folder / other, ignored);
  if (as_gpt2) return detail::write_vocabulary_and_merges(*this, folder);
  detail::write_file(folder / "tokenizer.json", [this](std::ostream& out) { out << detail::format_tokenizer_json(*this); });
  detail::write_file(folder / "tokenizer_config.json", [this](std::ostream& out) { out << detail::format_tokenizer_config(*this); });
}

}  // namespace terse::text
