#include "terse/text/bpe.hpp"

#include "support/catch.hpp"
#include "support/files.hpp"
#include "terse/core/philox.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace terse;
using text::Bpe;
using text::BpeTables;
using text::SpecialTokens;
using Ids = std::vector<TokenId>;

namespace {

const Bpe& gpt2() {
  static const Bpe tokens = Bpe::load(source_dir() / "examples/summarize/gpt2");
  return tokens;
}

/// BPE by its definition, in quadratic time.
Ids merge_by_definition(const BpeTables& tables, const std::string& piece) {
  std::map<std::pair<TokenId, TokenId>, std::size_t> ranks;
  for (std::size_t rank = 0; rank < tables.merges.size(); ++rank) ranks[{tables.merges[rank].left, tables.merges[rank].right}] = rank;
  Ids ids;
  for (const char byte : piece) {
    const auto found = std::find(tables.tokens.begin(), tables.tokens.end(), std::string(1, byte));
    ids.push_back(static_cast<TokenId>(found - tables.tokens.begin()));
  }
  for (;;) {
    std::size_t best = std::numeric_limits<std::size_t>::max(), at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = ranks.find({ids[i], ids[i + 1]});
      if (found != ranks.end() && found->second < best) best = found->second, at = i;
    }
    if (best == std::numeric_limits<std::size_t>::max()) return ids;
    ids[at] = tables.merges[best].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

/// The 256 bytes in GPT-2's order, then `more`, then the end-of-text token; no merges.
BpeTables bytes_and(const std::vector<std::string>& more) {
  BpeTables tables;
  for (int id = 0; id < 256; ++id) tables.tokens.emplace_back(1, static_cast<char>(text::byte_alphabet.byte_of_id(id)));
  tables.tokens.insert(tables.tokens.end(), more.begin(), more.end());
  tables.tokens.emplace_back(BpeTables::end_of_text);
  return tables;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

void write(const std::filesystem::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

}  // namespace

TEST_CASE("GPT-2's vocabulary: known ids") {
  CHECK(gpt2().vocabulary() == 50257);
  CHECK(gpt2().end_of_text() == 50256);
  CHECK(gpt2().encode("Hello world, it's  2024!\n\n x") == Ids{15496, 995, 11, 340, 338, 220, 48609, 0, 628, 2124});
  CHECK(gpt2().encode("").empty());
  CHECK(gpt2().decode(Ids{}).empty());
}

TEST_CASE("encode appends") {
  Ids ids{7};
  gpt2().encode("Hello", ids);
  gpt2().encode(" world", ids);
  CHECK(ids == Ids{7, 15496, 995});
}

TEST_CASE("<|endoftext|> is text unless it is said to be a token") {
  const std::string twice = "a<|endoftext|> b<|endoftext|>";
  const auto as_text = gpt2().encode(twice);
  CHECK(std::count(as_text.begin(), as_text.end(), 50256) == 0);
  CHECK(gpt2().decode(as_text) == twice);
  CHECK(gpt2().encode(twice, SpecialTokens::as_tokens) == Ids{64, 50256, 275, 50256});
  CHECK(gpt2().decode(Ids{64, 50256}) == "a<|endoftext|>");
  // The text before the token ends there: its white space isn't split for the sake of what follows.
  CHECK(gpt2().encode("a  <|endoftext|>b", SpecialTokens::as_tokens) == Ids{64, 220, 220, 50256, 65});
}

TEST_CASE("any bytes are decoded to themselves") {
  RandomStream random(1, RandomUse::synthesize);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random.below(200), '\0');
    // Mostly lead and continuation bytes, so that much is nearly well-formed.
    for (char& byte : bytes) byte = static_cast<char>(random.below(3) == 0 ? random.below(256) : 0x80 + random.below(0x75));
    const auto ids = gpt2().encode(bytes);
    REQUIRE(gpt2().decode(ids) == bytes);
  }
}

TEST_CASE("pieces of any length are merged as the definition has it") {
  RandomStream random(2, RandomUse::synthesize);
  for (const std::size_t length : {2u, 3u, 17u, 63u, 64u, 65u, 66u, 200u, 700u}) {
    for (const std::string alphabet : {"a", "ab", "etaoinshr", "0123456789"}) {
      std::string piece(length, ' ');
      for (char& letter : piece) letter = alphabet[random.below(static_cast<std::uint32_t>(alphabet.size()))];
      CHECK(gpt2().encode(piece) == merge_by_definition(gpt2().tables(), piece));
    }
  }
}

TEST_CASE("merges may come in any order, also before those of their parts") {
  auto tables = bytes_and({"ab", "abc", "bc", "abcab"});
  const auto id = [](char letter) { return static_cast<TokenId>(letter - '!'); };
  tables.merges = {{256, 258, 259}, {257, 256, 259}, {id('b'), id('c'), 258}, {256, id('c'), 257}, {id('a'), id('b'), 256}};
  const Bpe tokens(tables);
  for (const std::string& piece : std::vector<std::string>{"abcab", "abab", "abcabcabcab", "cabcababc", std::string(40, 'a') + "abcababcab" + std::string(40, 'b')}) {
    CHECK(tokens.encode(piece) == merge_by_definition(tables, piece));
  }
}

TEST_CASE("a token that no merge makes is never an answer, though it is in the vocabulary") {
  const Bpe tokens(bytes_and({"hello"}));
  CHECK(tokens.encode("hello").size() == 5);
  CHECK(tokens.decode(Ids{256}) == "hello");
}

TEST_CASE("a million characters of one word, of white space, of bytes") {
  for (const std::string unit : {"a", " ", "\n", "1", "ab", "\u00E9", "\u3000", "x \n", "\xFF"}) {
    std::string text;
    while (text.size() < 1000000) text += unit;
    const auto ids = gpt2().encode(text);
    CHECK(gpt2().decode(ids) == text);
  }
}

TEST_CASE("threads share one tokenizer; copies outlive it") {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += " word" + std::to_string(i) + "\u00E9 unusualconcatenation";
  auto original = std::make_unique<Bpe>(gpt2());
  const Bpe copy = *original;
  original.reset();
  const Ids expected = gpt2().encode(text);
  std::vector<Ids> found(4);
  std::vector<std::thread> threads;
  for (Ids& ids : found) threads.emplace_back([&] { ids = copy.encode(text); });
  for (auto& thread : threads) thread.join();
  for (const Ids& ids : found) CHECK(ids == expected);
}

TEST_CASE("an id outside the vocabulary is refused") {
  CHECK_THROWS_WITH(gpt2().decode(Ids{50257}), "token id 50257 isn't one of the vocabulary's 0 to 50256");
  CHECK_THROWS_WITH(gpt2().decode(Ids{0, -1}), "token id -1 isn't one of the vocabulary's 0 to 50256");
}

TEST_CASE("saved files are GPT-2's, byte for byte") {
  const TemporaryFolder folder;
  gpt2().save(folder.path() / "new" / "folder");
  for (const char* file : {"vocab.json", "merges.txt"}) {
    CHECK(read(folder.path() / "new" / "folder" / file) == read(source_dir() / "examples/summarize/gpt2" / file));
  }
}

TEST_CASE("a folder that can't be written is named") {
  const TemporaryFolder folder;
  write(folder.path() / "file", "");
  CHECK_THROWS_WITH(gpt2().save(folder.path() / "file"), Catch::Contains("vocab.json: cannot be written"));
}

TEST_CASE("damaged files are refused with file, line and token") {
  const TemporaryFolder folder;
  auto good = bytes_and({"ab"});
  good.merges = {{'a' - '!', 'b' - '!', 256}};
  const auto files = [&](auto&& change_vocabulary, const std::string& merges) {
    good.save(folder.path());
    write(folder.path() / "vocab.json", change_vocabulary(read(folder.path() / "vocab.json")));
    write(folder.path() / "merges.txt", merges);
  };
  const auto message = [&] {
    try {
      Bpe::load(folder.path());
    } catch (const Error& error) {
      CHECK(error.failure() == Failure::bad_input);
      std::string words = std::string(error.what()).substr(folder.path().string().size() + 1);
      if (const auto mend = words.find("; copy vocab.json and merges.txt again"); mend != std::string::npos) words.resize(mend);
      return words;
    }
    return std::string("no error");
  };
  const auto vocabulary = [&](const std::string& from, const std::string& to) {
    files([&](std::string text) { return text.replace(text.find(from), from.size(), to); }, "#version: 0.2\na b\n");
    return message();
  };
  const auto merges = [&](const std::string& text) {
    files([](std::string same) { return same; }, text);
    return message();
  };

  CHECK(merges("#version: 0.2\na b\n") == "no error");
  CHECK(merges("a b") == "no error");
  CHECK(merges("") == "no error");
  CHECK(merges("#version: 0.2\na b\nb a\n") == "merges.txt:3: \"ba\" isn't in vocab.json");
  CHECK(merges("a b\nzz b\n") == "merges.txt:2: \"zz\" isn't in vocab.json");
  CHECK(merges("a b\na b\n") == "merges.txt:2: \"a b\" stands on line 1 already");
  CHECK(merges("ab\n") == "merges.txt:1: two tokens with one space between them expected, \"ab\" found");
  CHECK(merges("a b \n") == "merges.txt:1: two tokens with one space between them expected, \"a b \" found");
  CHECK(merges("a b\n\n") == "merges.txt:2: two tokens with one space between them expected, \"\" found");
  CHECK(merges("a b\r\n") == "merges.txt:1: \"b\\r\" isn't in vocab.json");

  CHECK(vocabulary("\"ab\": 256", "\"ab\": 255") == "vocab.json: \"\u0143\" and \"ab\" both have the id 255");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": 258") == "vocab.json: \"ab\" has the id 258, but 258 tokens have the ids 0 to 257");
  CHECK(vocabulary("\"ab\": 256", "\"a\": 256") == "vocab.json: \"a\" stands twice, with the ids 64 and 256");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": -1") == "vocab.json: \"ab\" has no id but -1");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": 99999999999") == "vocab.json: \"ab\" has no id but 99999999999");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": 1.5") == "vocab.json: \"ab\" has no id but 1.5");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": 1e999") == "vocab.json: \"ab\" has a number too large for an id");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": \"256\"") == "vocab.json: \"ab\" has no id but \"256\"");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": [256]") == "vocab.json: \"ab\" has no id but an array or an object");
  CHECK(vocabulary("\"ab\": 256", "\"ab\": {\"c\": 1}") == "vocab.json: \"ab\" has no id but an array or an object");
  CHECK(vocabulary("\"ab\": 256", "\"a b\": 256") == "vocab.json: \"a b\" isn't spelled in GPT-2's byte alphabet");
  CHECK(vocabulary("\"ab\": 256", "\"\": 256") == "vocab.json: \"\" isn't spelled in GPT-2's byte alphabet");
  CHECK(vocabulary("\"b\": 65", "\"ba\": 65") == "vocab.json: \"b\" (byte 98) is missing: without all 256 bytes some texts have no tokens");
  CHECK(vocabulary("<|endoftext|>", "<|end|>") == "vocab.json: \"<|endoftext|>\" is missing");
  CHECK(vocabulary("\"ab\": 256", "\"ab\"\n: 256,,").substr(0, 24) == "vocab.json:2: not JSON a");

  for (const char* whole : {"", "[1, 2]", "3", "\"a\"", "{}", "{", "{\"\xff\":0}", "1e999"}) {
    files([&](std::string) { return whole; }, "");
    CHECK(message().starts_with("vocab.json:"));
    CHECK(message().find('\n') == std::string::npos);
  }
  files([&](std::string) { return std::string(1'000'000, '['); }, "");
  CHECK(message() == "vocab.json: one JSON object of tokens and their ids is expected");
  good.save(folder.path());
  std::filesystem::remove(folder.path() / "merges.txt");
  CHECK(message() == "merges.txt: cannot be read: No such file or directory; a tokenizer is a folder with tokenizer.json, or vocab.json and merges.txt");
  std::filesystem::remove(folder.path() / "vocab.json");
  std::filesystem::create_directory(folder.path() / "vocab.json");
  CHECK(message() == "vocab.json: cannot be read: Is a directory; a tokenizer is a folder with tokenizer.json, or vocab.json and merges.txt");
}
