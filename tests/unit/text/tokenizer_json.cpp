#include "terse/text/tokenizer_json.hpp"

#include "support/catch.hpp"
#include "support/files.hpp"
#include "terse/text/bpe.hpp"

#include <fstream>
#include <functional>
#include <string>
#include <vector>

using namespace terse;
using nlohmann::json;
using text::Bpe;
using text::BpeTables;
using text::SpecialTokens;
using Ids = std::vector<TokenId>;

namespace {

/// Single bytes but 'z', "ab", and three added tokens, the last of which is in every text.
BpeTables small() {
  BpeTables tables;
  tables.tokens = {"<|endoftext|>", "<|im_end|>", "<|im"};
  for (int byte = 0; byte < 256; ++byte)
    if (byte != 'z') tables.tokens.emplace_back(1, static_cast<char>(byte));
  const auto id = [](char letter) { return static_cast<TokenId>(3 + letter); };
  tables.tokens.emplace_back("ab");
  tables.merges = {{id('a'), id('b'), static_cast<TokenId>(tables.tokens.size() - 1)}};
  tables.piece_rule = text::PieceRule::smollm;
  tables.added = {{0}, {1}, {2, false}};
  tables.end = 1;
  return tables;
}

/// What reading the small tokenizer says after a change.
std::string after(const std::function<void(json&)>& change, const std::string& config = R"({"eos_token": "<|im_end|>"})") {
  json tokenizer = json::parse(text::detail::format_tokenizer_json(small()));
  change(tokenizer);
  try {
    text::read_tokenizer_json(tokenizer.dump(), config, "here");
  } catch (const Error& error) {
    CHECK(error.failure() == Failure::bad_input);
    std::string words = error.what();
    CHECK(words.starts_with("here/tokenizer"));
    CHECK(words.find('\n') == std::string::npos);
    words.erase(0, 5);
    if (const auto mend = words.rfind("; copy "); mend != words.npos) words.resize(mend);
    return words;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("added tokens: special ones where they may be, others everywhere, the longest of two") {
  const Bpe tokens(small());
  const auto a = TokenId{3 + 'a'}, lt = TokenId{3 + '<'};
  CHECK(tokens.encode("a<|im_end|>a", SpecialTokens::as_tokens) == Ids{a, 1, a});
  CHECK(tokens.encode("a<|im_end|>").at(1) == 2);
  CHECK(tokens.encode("<|im<|endoftext|>", SpecialTokens::as_tokens) == Ids{2, 0});
  CHECK(tokens.encode("<|im<|e").at(1) == lt);
  CHECK(tokens.encode("<<|im<") == Ids{lt, 2, lt});
  CHECK(tokens.decode(Ids{1, a, 2}) == "<|im_end|>a<|im");
}

TEST_CASE("bytes without a token are left out, what is beside them merges") {
  const Bpe tokens(small());
  const auto ab = static_cast<TokenId>(tokens.vocabulary() - 1);
  CHECK(tokens.encode("zazbz") == Ids{ab});
  CHECK(tokens.encode("z").empty());
  CHECK(tokens.encode(std::string(100, 'z')).empty());
  CHECK(tokens.encode(std::string(50, 'z') + "a" + std::string(50, 'z') + "b") == Ids{ab});
}

TEST_CASE("a tokenizer that isn't as GPT-2 is saved as tokenizer.json, and takes the place of other files") {
  const TemporaryFolder folder;
  const Bpe tokens(small());
  std::ofstream(folder.path() / "vocab.json") << "{}";
  std::ofstream(folder.path() / "merges.txt") << "";
  CHECK(BpeTables::are_in(folder.path()));
  tokens.save(folder.path());
  CHECK(!std::filesystem::exists(folder.path() / "vocab.json"));
  CHECK(!std::filesystem::exists(folder.path() / "merges.txt"));
  CHECK(BpeTables::are_in(folder.path()));
  const Bpe again = Bpe::load(folder.path());
  CHECK(again.tables().tokens == tokens.tables().tokens);
  CHECK(again.tables().added == tokens.tables().added);
  CHECK(again.tables().piece_rule == text::PieceRule::smollm);
  CHECK(again.end_of_text() == 1);
  CHECK(again.encode("ab 12 <|im_end|>", SpecialTokens::as_tokens) == tokens.encode("ab 12 <|im_end|>", SpecialTokens::as_tokens));

  const Bpe gpt2 = Bpe::load(source_dir() / "examples/summarize/gpt2");
  gpt2.save(folder.path());
  CHECK(!std::filesystem::exists(folder.path() / "tokenizer.json"));
  CHECK(Bpe::load(folder.path()).vocabulary() == 50257);
  CHECK(!BpeTables::are_in(folder.path() / "none"));
}

TEST_CASE("GPT-2's tables are the same from tokenizer.json") {
  const Bpe gpt2 = Bpe::load(source_dir() / "examples/summarize/gpt2");
  BpeTables tables = gpt2.tables();
  tables.added = {{50256}};
  tables.end = 50256;
  const BpeTables read = text::read_tokenizer_json(text::detail::format_tokenizer_json(tables), "", "here");
  CHECK(read.tokens == tables.tokens);
  CHECK(read.merges.size() == tables.merges.size());
  CHECK(read.end == 50256);
  CHECK(Bpe(read).encode("Hello world, it's  2024!\n\n x") == gpt2.encode("Hello world, it's  2024!\n\n x"));
}

TEST_CASE("what ends a text is what tokenizer_config.json says") {
  const auto same = [](json&) {};
  const auto tokenizer = text::detail::format_tokenizer_json(small());
  const auto end = [&](const std::string& config) { return text::read_tokenizer_json(tokenizer, config, "here").end; };
  CHECK(end("") == 0);
  CHECK(end("{}") == 0);
  CHECK(end(R"({"eos_token": null})") == 0);
  CHECK(end(R"({"eos_token": "<|im_end|>"})") == 1);
  CHECK(end(R"({"eos_token": {"content": "<|im_end|>", "lstrip": false}})") == 1);
  CHECK(after(same, R"({"eos_token": "</s>"})") == "tokenizer_config.json: \"</s>\" is to end a text (\"eos_token\"), and the vocabulary has no such token");
  CHECK(after(same, R"({"eos_token": 5})") == "tokenizer_config.json: \"eos_token\" is 5, a text expected");
  CHECK(after(same, "{").starts_with("tokenizer_config.json: not JSON"));
}

TEST_CASE("a tokenizer.json that would give other tokens here is refused") {
  CHECK(after([](json&) {}) == "accepted");
  CHECK(after([](json& t) { t["normalizer"] = {{"type", "NFC"}}; }) == "tokenizer.json: \"normalizer\" is an object, null expected: not a tokenizer as it is computed here");
  CHECK(after([](json& t) { t["model"]["type"] = "Unigram"; }) == "tokenizer.json: \"type\" is \"Unigram\", \"BPE\" expected: not a tokenizer as it is computed here");
  CHECK(after([](json& t) { t["model"]["ignore_merges"] = true; }).starts_with("tokenizer.json: \"ignore_merges\" is true, false expected"));
  CHECK(after([](json& t) { t["model"]["byte_fallback"] = true; }).starts_with("tokenizer.json: \"byte_fallback\" is true, false expected"));
  CHECK(after([](json& t) { t["model"]["unk_token"] = "<|endoftext|>"; }) == "tokenizer.json: \"z\" (byte 122) is missing: without all 256 bytes some texts have no tokens");
  CHECK(after([](json& t) { t["model"].erase("merges"); }) == "tokenizer.json: \"merges\" is missing or no list: not a byte-level BPE");
  CHECK(after([](json& t) { t["model"] = 5; }) == "tokenizer.json: \"model\" is missing or no object: not a byte-level BPE");
  CHECK(after([](json& t) { t["pre_tokenizer"] = nullptr; }) == "tokenizer.json: \"pre_tokenizer\" is missing or no object: not a byte-level BPE");
  CHECK(after([](json& t) { t["pre_tokenizer"] = {{"type", "Whitespace"}}; }) ==
        "tokenizer.json: \"pre_tokenizer\" is \"Whitespace\", and neither GPT-2's (ByteLevel) nor SmolLM's (Digits, ByteLevel): it isn't computed here");
  CHECK(after([](json& t) { t["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = false; }).starts_with("tokenizer.json: \"pre_tokenizer\" is \"Sequence\", and neither"));
  CHECK(after([](json& t) { t["pre_tokenizer"]["pretokenizers"] = {1, 2}; }).starts_with("tokenizer.json: \"pre_tokenizer\" is \"Sequence\", and neither"));
  CHECK(after([](json& t) { t["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; }).starts_with("tokenizer.json: \"add_prefix_space\" is true, false expected"));
  CHECK(after([](json& t) { t["added_tokens"][0]["lstrip"] = true; }).starts_with("tokenizer.json: \"lstrip\" is true, false expected"));
  CHECK(after([](json& t) { t["added_tokens"][0]["id"] = 1; }) == "tokenizer.json: \"<|endoftext|>\" has the ids 0 and 1");
  CHECK(after([](json& t) { t["added_tokens"][0].erase("id"); }) == "tokenizer.json: \"<|endoftext|>\" has no id but null");
  CHECK(after([](json& t) { t["added_tokens"][1]["content"] = "<|endoftext|>"; }) == "tokenizer.json: \"<|endoftext|>\" is added twice");
  CHECK(after([](json& t) { t["added_tokens"] = 5; }) == "tokenizer.json: \"added_tokens\" isn't a list");
  CHECK(after([](json& t) { t["added_tokens"][0] = 5; }) == "tokenizer.json: \"added_tokens\" holds 5, not an object");
  CHECK(after([](json& t) { t["added_tokens"][0]["content"] = 5; }) == "tokenizer.json: \"content\" is missing or no text");
  CHECK(after([](json& t) { t["model"]["vocab"]["ab"] = 900; }) == "tokenizer.json: \"ab\" has the id 900, but 259 tokens have the ids 0 to 258");
  CHECK(after([](json& t) { t["model"]["vocab"]["ab"] = 3; }).ends_with("has the id 3, as another token has"));
  CHECK(after([](json& t) { t["model"]["vocab"]["ab"] = -3; }) == "tokenizer.json: \"ab\" has no id but -3");
  CHECK(after([](json& t) { t["model"]["vocab"]["ab"] = "x"; }) == "tokenizer.json: \"ab\" has no id but \"x\"");
  CHECK(after([](json& t) { t["model"]["vocab"]["a b"] = 259; }) == "tokenizer.json: \"a b\" isn't spelled in GPT-2's byte alphabet");
  CHECK(after([](json& t) { t["model"]["merges"][0] = "a b"; }) == "accepted");
  CHECK(after([](json& t) { t["model"]["merges"][0] = {"a", "c"}; }) == "tokenizer.json: merge 1: \"ac\" isn't in the vocabulary");
  CHECK(after([](json& t) { t["model"]["merges"][0] = {"a"}; }) == "tokenizer.json: merge 1: two tokens with one space between them expected, \"\" found");
  CHECK(after([](json& t) { t["model"]["merges"].push_back({"a", "b"}); }) == "tokenizer.json: merge 2: \"a b\" stands as merge 1 already");
  CHECK(after([](json& t) { t = json::array(); }) == "tokenizer.json: a list, not a tokenizer");
}
