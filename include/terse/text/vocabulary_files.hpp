#pragma once
/// vocab.json and merges.txt: GPT-2's files of a tokenizer.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/bpe_tables.hpp>
#include <terse/text/byte_alphabet.hpp>

namespace terse::text {

namespace detail {

/// vocab.json's entries as they stand, duplicates too.
inline std::vector<std::pair<std::string, TokenId>> vocabulary_entries(std::string_view text, const TableSource& source) {
  using Json = nlohmann::json;
  std::vector<std::pair<std::string, TokenId>> entries;
  std::string token;
  const auto collect = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      token = parsed.get_ref<const std::string&>();
    } else if (event == Json::parse_event_t::value && depth == 1) {
      const bool is_id = is_whole_number(parsed, 0, INT32_MAX);
      if (!is_id) source.refuse(": ", in_quotes(token), " has no id but ", in_words(parsed));
      entries.emplace_back(std::move(token), parsed.get<TokenId>());
      return false;  // it needn't go into a document too
    } else if (depth > 0 && event != Json::parse_event_t::key) {
      source.refuse(": ", in_quotes(token), " has no id but an array or an object");
    } else if (event == Json::parse_event_t::array_start || event == Json::parse_event_t::value) {
      source.refuse(": one JSON object of tokens and their ids is expected");
    }
    return true;
  };
  try {
    [[maybe_unused]] const Json nothing_left = Json::parse(text, collect);
  } catch (const Json::parse_error& error) {
    const std::size_t position = std::min(error.byte, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n');
    source.refuse(":", line, ": not JSON at byte ", position);
  } catch (const Json::out_of_range&) {  // 1e999
    source.refuse(": ", in_quotes(token), " has a number too large for an id");
  }
  return entries;
}

inline std::vector<std::string> vocabulary_of(std::string_view text, const TableSource& source) {
  const auto entries = vocabulary_entries(text, source);
  std::vector<std::string> tokens(entries.size());
  std::vector<const std::string*> spelled(entries.size(), nullptr);
  for (const auto& [token, id] : entries) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= entries.size()) {
      source.refuse(": ", in_quotes(token), " has the id ", id, ", but ", entries.size(), " tokens have the ids 0 to ", entries.size() - 1);
    }
    if (spelled[index] != nullptr) {
      source.refuse(": ", in_quotes(*spelled[index]), " and ", in_quotes(token), " both have the id ", id);
    }
    spelled[index] = &token;
    auto bytes = byte_alphabet.unspell(token);
    if (!bytes || bytes->empty()) {
      source.refuse(": ", in_quotes(token), " isn't spelled in GPT-2's byte alphabet");
    }
    tokens[index] = std::move(*bytes);
  }
  return tokens;
}

inline std::vector<BpeMerge> merges_of(std::string_view all, const TableSource& source, const TokenIndex& index) {
  MergeList merges(index, "vocab.json");
  for (std::size_t line = 1; !all.empty(); ++line) {
    const std::string_view text = all.substr(0, all.find('\n'));
    all.remove_prefix(std::min(text.size() + 1, all.size()));
    if (line > 1 || !text.starts_with("#version")) merges.add(source, concat(":", line), "on line", line, text);
  }
  return merges.take();
}

template <class Write>
void write_file(const std::filesystem::path& file, Write&& write) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  write(out);
  out.close();
  if (!out) fail(Failure::cannot_write, file.string(), ": cannot be written; is the disk full or the folder read-only?");
}

inline void write_vocabulary_and_merges(const BpeTables& tables, const std::filesystem::path& folder) {
  const auto spelled = [&](TokenId id) { return byte_alphabet.spell(tables.tokens[static_cast<std::size_t>(id)]); };
  write_file(folder / "vocab.json", [&](std::ostream& out) {
    for (std::size_t id = 0; id < tables.tokens.size(); ++id) {
      out << (id == 0 ? "{" : ", ") << nlohmann::json(spelled(static_cast<TokenId>(id))).dump(-1, ' ', true) << ": " << id;
    }
    out << "}";
  });
  write_file(folder / "merges.txt", [&](std::ostream& out) {
    out << "#version: 0.2\n";
    for (const BpeMerge& merge : tables.merges) out << spelled(merge.left) << " " << spelled(merge.right) << "\n";
  });
}

}  // namespace detail

inline BpeTables BpeTables::parse(std::string_view vocabulary, std::string_view merges, const std::filesystem::path& folder) {
  constexpr std::string_view mend = "copy vocab.json and merges.txt again, both of the same tokenizer";
  const detail::TableSource source{(folder / "vocab.json").string(), mend};
  BpeTables tables;
  tables.tokens = detail::vocabulary_of(vocabulary, source);
  const auto index = detail::index_vocabulary(source, tables.tokens);
  detail::require_all_bytes(source, index);
  if (!index.contains(end_of_text)) source.refuse(": ", in_quotes(end_of_text), " is missing");
  tables.merges = detail::merges_of(merges, {(folder / "merges.txt").string(), mend}, index);
  return tables;
}

}  // namespace terse::text
