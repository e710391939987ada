#pragma once
/// tokenizer.json and tokenizer_config.json: Hugging Face's files of a tokenizer.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/json.hpp>
#include <terse/text/bpe_tables.hpp>
#include <terse/text/vocabulary_files.hpp>

namespace terse::text {

namespace detail {

/// A tokenizer.json, part by part. What would give other tokens here than there is refused.
class TokenizerJson {
 public:
  using Json = nlohmann::json;

  TokenizerJson(std::string_view text, const TableSource& source) : source_(source), json_(parse_json(text, {source.file, source.mend})) {
    if (!json_.is_object()) source_.refuse(": ", in_words(json_), ", not a tokenizer");
  }

  /// All but what ends a text.
  BpeTables read() {
    require(json_, "normalizer", {nullptr});
    const Json& model = object(json_, "model");
    require(model, "type", {"BPE"});
    for (const char* const key : {"continuing_subword_prefix", "end_of_word_suffix"}) require(model, key, {nullptr, ""});
    for (const char* const key : {"byte_fallback", "ignore_merges"}) require(model, key, {false});
    require(model, "dropout", {nullptr, 0.0});
    BpeTables tables;
    tables.piece_rule = piece_rule(object(json_, "pre_tokenizer"));
    read_tokens(object(model, "vocab"), tables);
    const TokenIndex index = index_vocabulary(source_, tables.tokens);
    if (model.contains("unk_token") && !model["unk_token"].is_null()) require_all_bytes(source_, index);  // else bytes without a token would be that one
    read_merges(model, index, tables);
    return tables;
  }

 private:
  /// Where `key` is there, it must be one of `known`.
  void require(const Json& object, const char* key, std::initializer_list<Json> known) const {
    if (object.contains(key) && !is_among(object[key], known))
      source_.refuse(": \"", key, "\" is ", in_words(object[key]), ", ", in_words(*known.begin()), " expected: not a tokenizer as it is computed here");
  }
  const Json& object(const Json& parent, const char* key) const {
    if (!parent.contains(key) || !parent[key].is_object()) source_.refuse(": \"", key, "\" is missing or no object: not a byte-level BPE");
    return parent[key];
  }
  std::string text_of(const Json& parent, const char* key) const {
    if (!parent.contains(key) || !parent[key].is_string()) source_.refuse(": \"", key, "\" is missing or no text");
    return parent[key].get<std::string>();
  }

  PieceRule piece_rule(const Json& cutter) const {
    const auto is_byte_level = [&](const Json& part) {
      if (!part.is_object() || text_of(part, "type") != "ByteLevel") return false;
      require(part, "add_prefix_space", {false});
      require(part, "use_regex", {true});
      return true;
    };
    if (is_byte_level(cutter)) return PieceRule::gpt2;
    if (text_of(cutter, "type") == "Sequence" && cutter.contains("pretokenizers")) {
      const Json& parts = cutter["pretokenizers"];
      const bool digits_first = parts.is_array() && parts.size() == 2 && parts[0].is_object() && text_of(parts[0], "type") == "Digits";
      if (digits_first && parts[0].value("individual_digits", Json(false)) == true && is_byte_level(parts[1])) return PieceRule::smollm;
    }
    source_.refuse(": \"pre_tokenizer\" is ", in_quotes(text_of(cutter, "type")), ", and neither GPT-2's (ByteLevel) nor SmolLM's (Digits, ByteLevel): it isn't computed here");
  }

  std::int64_t id_of(const std::string& token, const Json& id) const {
    if (!is_whole_number(id, 0, INT32_MAX)) source_.refuse(": ", in_quotes(token), " has no id but ", in_words(id));
    return id.get<std::int64_t>();
  }

  void read_tokens(const Json& vocabulary, BpeTables& tables) const {
    std::map<std::string, std::int64_t> ids;
    std::map<std::string, AddedToken> added = read_added();
    for (const auto& [token, id] : vocabulary.items()) ids.emplace(token, id_of(token, id));
    for (const auto& [token, entry] : added)
      if (const auto [found, inserted] = ids.emplace(token, entry.id); found->second != entry.id)
        source_.refuse(": ", in_quotes(token), " has the ids ", found->second, " and ", entry.id);
    tables.tokens.resize(ids.size());
    for (const auto& [token, id] : ids) {
      if (static_cast<std::size_t>(id) >= ids.size()) source_.refuse(": ", in_quotes(token), " has the id ", id, ", but ", ids.size(), " tokens have the ids 0 to ", ids.size() - 1);
      std::string& place = tables.tokens[static_cast<std::size_t>(id)];
      if (!place.empty()) source_.refuse(": ", in_quotes(token), " has the id ", id, ", as another token has");
      auto bytes = added.contains(token) ? token : byte_alphabet.unspell(token);
      if (!bytes || bytes->empty()) source_.refuse(": ", in_quotes(token), " isn't spelled in GPT-2's byte alphabet");
      place = std::move(*bytes);
    }
    for (const auto& [token, entry] : added) tables.added.push_back(entry);
    std::sort(tables.added.begin(), tables.added.end(), [](AddedToken a, AddedToken b) { return a.id < b.id; });
  }

  std::map<std::string, AddedToken> read_added() const {
    std::map<std::string, AddedToken> added;
    if (!json_.contains("added_tokens")) return added;
    if (!json_["added_tokens"].is_array()) source_.refuse(": \"added_tokens\" isn't a list");
    for (const Json& token : json_["added_tokens"]) {
      if (!token.is_object()) source_.refuse(": \"added_tokens\" holds ", in_words(token), ", not an object");
      const std::string content = text_of(token, "content");
      for (const char* const key : {"lstrip", "rstrip", "single_word"}) require(token, key, {false});
      const AddedToken entry{static_cast<TokenId>(id_of(content, token.contains("id") ? token["id"] : Json())), token.value("special", Json(false)) == true};
      if (!added.emplace(content, entry).second) source_.refuse(": ", in_quotes(content), " is added twice");
    }
    return added;
  }

  void read_merges(const Json& model, const TokenIndex& index, BpeTables& tables) const {
    if (!model.contains("merges") || !model["merges"].is_array()) source_.refuse(": \"merges\" is missing or no list: not a byte-level BPE");
    MergeList merges(index, "the vocabulary");
    std::size_t number = 0;
    for (const Json& merge : model["merges"]) {
      ++number;
      std::string text;  // "LEFT RIGHT", or since tokenizers 0.20 ["LEFT", "RIGHT"]
      if (merge.is_string()) text = merge.get<std::string>();
      else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) text = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
      merges.add(source_, concat(": merge ", number), "as merge", number, text);
    }
    tables.merges = merges.take();
  }

  const TableSource& source_;
  nlohmann::json json_;
};

/// The token that a tokenizer_config.json says ends a text; `<|endoftext|>` where it says nothing or there is none (`config` empty).
inline TokenId end_token(std::string_view config, const TableSource& source, const std::vector<std::string>& tokens) {
  std::string end(BpeTables::end_of_text);
  if (!config.empty()) {
    const auto json = parse_json(config, {source.file, source.mend, 64});
    if (json.is_object() && json.contains("eos_token") && !json["eos_token"].is_null()) {
      const auto& said = json["eos_token"];
      const auto& token = said.is_object() && said.contains("content") ? said["content"] : said;
      if (!token.is_string()) source.refuse(": \"eos_token\" is ", in_words(token), ", a text expected");
      end = token.get<std::string>();
    }
  }
  const auto found = std::find(tokens.begin(), tokens.end(), end);
  if (found == tokens.end()) source.refuse(": ", in_quotes(end), " is to end a text (\"eos_token\"), and the vocabulary has no such token");
  return static_cast<TokenId>(found - tokens.begin());
}

inline std::string format_tokenizer_json(const BpeTables& tables) {
  using Json = nlohmann::ordered_json;
  std::vector<std::string> spelled;
  for (const std::string& token : tables.tokens) spelled.push_back(byte_alphabet.spell(token));
  Json added = Json::array(), vocabulary = Json::object(), merges = Json::array();
  for (const AddedToken& token : tables.added) {
    const auto id = static_cast<std::size_t>(token.id);
    spelled[id] = tables.tokens[id];
    added.push_back({{"id", token.id}, {"content", spelled[id]}, {"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}, {"special", token.special}});
  }
  vocabulary.get_ref<Json::object_t&>().reserve(spelled.size());
  for (std::size_t id = 0; id < spelled.size(); ++id) vocabulary.get_ref<Json::object_t&>().emplace_back(spelled[id], id);  // [] would look each name up among all before it
  for (const BpeMerge& merge : tables.merges) merges.push_back(Json::array({spelled[static_cast<std::size_t>(merge.left)], spelled[static_cast<std::size_t>(merge.right)]}));
  const Json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Json digits{{"type", "Digits"}, {"individual_digits", true}};
  const Json json{{"version", "1.0"},
                  {"truncation", nullptr},
                  {"padding", nullptr},
                  {"added_tokens", added},
                  {"normalizer", nullptr},
                  {"pre_tokenizer", tables.piece_rule == PieceRule::gpt2 ? byte_level : Json{{"type", "Sequence"}, {"pretokenizers", Json::array({digits, byte_level})}}},
                  {"post_processor", nullptr},
                  {"decoder", byte_level},
                  {"model",
                   {{"type", "BPE"},
                    {"dropout", nullptr},
                    {"unk_token", nullptr},
                    {"continuing_subword_prefix", nullptr},
                    {"end_of_word_suffix", nullptr},
                    {"fuse_unk", false},
                    {"byte_fallback", false},
                    {"ignore_merges", false},
                    {"vocab", std::move(vocabulary)},
                    {"merges", std::move(merges)}}}};
  return json.dump(1) + "\n";
}

/// What AutoTokenizer needs besides: the class that takes tokenizer.json as it is (another would bring its own pre-tokenizer), and the end of a text.
inline std::string format_tokenizer_config(const BpeTables& tables) {
  const nlohmann::ordered_json json{{"tokenizer_class", "PreTrainedTokenizerFast"},
                                    {"eos_token", tables.tokens[static_cast<std::size_t>(tables.end)]},
                                    {"clean_up_tokenization_spaces", false}};
  return json.dump(2) + "\n";
}

}  // namespace detail

/// The tables in the texts of a tokenizer.json and a tokenizer_config.json (empty: none). `folder` names them in messages.
/// Read are byte-level BPEs with GPT-2's or SmolLM's pre-tokenizer; a post-processor (tokens that are put before or after a text) is left out.
/// Errors     Failure::bad_input, naming the file and what is wrong or isn't computed here
inline BpeTables read_tokenizer_json(std::string_view tokenizer, std::string_view config, const std::filesystem::path& folder) {
  const detail::TableSource source{(folder / "tokenizer.json").string(), "copy tokenizer.json again, or use another tokenizer"};
  BpeTables tables = detail::TokenizerJson(tokenizer, source).read();
  tables.end = detail::end_token(config, {(folder / "tokenizer_config.json").string(), "copy it again beside tokenizer.json"}, tables.tokens);
  return tables;
}

}  // namespace terse::text
