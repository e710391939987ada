#pragma once
/// A tokenizer in a GGUF file's metadata.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/io/gguf/file.hpp>
#include <terse/io/gguf/write.hpp>
#include <terse/text/bpe.hpp>
#include <terse/text/utf8.hpp>

namespace terse::io {

namespace detail {

/// A token's kind, by llama.cpp's number for it.
enum class GgufToken : std::int32_t { normal = 1, unknown, control, user_defined, unused, byte };

inline text::PieceRule gguf_piece_rule(const Gguf& file) {
  constexpr std::string_view key = "tokenizer.ggml.pre";
  if (!file.has(key) && file.text("general.architecture") == "gpt2") return text::PieceRule::gpt2;  // files from before the key
  const std::string_view pre = file.text(key);
  if (pre == "gpt-2") return text::PieceRule::gpt2;
  if (pre == "smollm") return text::PieceRule::smollm;
  file.refuse(key, "is ", in_quotes(pre), ", \"gpt-2\" or \"smollm\" expected: another pre-tokenizer than those computed here; use another model");
}

}  // namespace detail

/// The tokenizer of a GGUF file: byte-level BPE with GPT-2's or SmolLM's pre-tokenizer. Control tokens are special tokens; what ends a text is
/// tokenizer.ggml.eos_token_id: what the model has learned to end with, SmolLM2-Instruct's `<|im_end|>` and not `<|endoftext|>`.
///
/// Errors     Failure::bad_input, naming the key: missing, another kind of tokenizer, or wrong tables
inline text::BpeTables read_tokenizer(const Gguf& file) {
  if (const auto model = file.text("tokenizer.ggml.model"); model != "gpt2")
    file.refuse("tokenizer.ggml.model", "is ", in_quotes(model), ", \"gpt2\" (byte-level BPE) expected: it isn't computed here; use another model");
  const text::detail::TableSource source{file.name(), "convert or download the file again"};
  const auto tokens = file.texts("tokenizer.ggml.tokens");
  const auto kinds = file.has("tokenizer.ggml.token_type") ? file.integers("tokenizer.ggml.token_type") : std::vector<std::int64_t>(tokens.size(), 1);
  if (kinds.size() != tokens.size()) file.refuse("tokenizer.ggml.token_type", "has ", kinds.size(), " entries for ", tokens.size(), " tokens; convert it again");

  text::BpeTables tables;
  tables.piece_rule = detail::gguf_piece_rule(file);
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const auto kind = static_cast<detail::GgufToken>(kinds[id]);
    const bool is_added = kind == detail::GgufToken::control || kind == detail::GgufToken::user_defined;
    auto bytes = kind == detail::GgufToken::normal ? text::byte_alphabet.unspell(tokens[id]) : std::string(tokens[id]);
    if (!bytes || bytes->empty() || (is_added && text::utf8_prefix(*bytes) != bytes->size()))
      source.refuse(": token ", id, ", ", in_quotes(tokens[id]), ", isn't spelled in GPT-2's byte alphabet");
    tables.tokens.push_back(std::move(*bytes));
    if (is_added) tables.added.push_back({static_cast<TokenId>(id), kind == detail::GgufToken::control});
  }
  const auto index = text::detail::index_vocabulary(source, tables.tokens);
  text::detail::MergeList merges(index, "tokenizer.ggml.tokens");
  std::size_t number = 0;
  for (const std::string_view merge : file.texts("tokenizer.ggml.merges")) ++number, merges.add(source, concat(": merge ", number), "as merge", number, merge);
  tables.merges = merges.take();
  const std::int64_t end = file.integer("tokenizer.ggml.eos_token_id");
  if (end < 0 || end >= static_cast<std::int64_t>(tokens.size())) file.refuse("tokenizer.ggml.eos_token_id", "is ", end, ", but ", tokens.size(), " tokens are there; convert it again");
  tables.end = static_cast<TokenId>(end);
  return tables;
}

/// The metadata of a tokenizer, to be put behind those of a model (gguf_metadata).
inline GgufMetadata gguf_tokenizer(const text::Bpe& tokenizer) {
  const text::BpeTables& tables = tokenizer.tables();
  std::vector<std::string> tokens, merges;
  for (const std::string& token : tables.tokens) tokens.push_back(text::byte_alphabet.spell(token));
  for (const text::BpeMerge& merge : tables.merges) merges.push_back(tokens[static_cast<std::size_t>(merge.left)] + " " + tokens[static_cast<std::size_t>(merge.right)]);
  std::vector<std::int32_t> kinds(tokens.size(), static_cast<std::int32_t>(detail::GgufToken::normal));
  const auto add = [&](text::AddedToken added) {
    const auto id = static_cast<std::size_t>(added.id);
    tokens[id] = tables.tokens[id];
    kinds[id] = static_cast<std::int32_t>(added.special ? detail::GgufToken::control : detail::GgufToken::user_defined);
  };
  std::for_each(tables.added.begin(), tables.added.end(), add);
  if (tables.added.empty()) add({tokenizer.end_of_text()});
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", std::string(tables.piece_rule == text::PieceRule::gpt2 ? "gpt-2" : "smollm")},
          {"tokenizer.ggml.tokens", std::move(tokens)},
          {"tokenizer.ggml.token_type", std::move(kinds)},
          {"tokenizer.ggml.merges", std::move(merges)},
          {"tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(tokenizer.end_of_text())},
          {"tokenizer.ggml.add_bos_token", false}};
}

/// A tokenizer from a GGUF file, or from a folder as text::Bpe::load takes it.
/// Errors     those of read_tokenizer and text::Bpe::load
inline text::Bpe load_tokenizer(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) return text::Bpe(read_tokenizer(GgufFile::open(path)));
  return text::Bpe::load(path);
}

}  // namespace terse::io
