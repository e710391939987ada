// The tokenizer against tiktoken, and the trainer against Hugging Face tokenizers (goldens: tests/goldens/bpe.py).
#include "support/bpe_strings.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "terse/text/bpe.hpp"
#include "terse/text/bpe_trainer.hpp"

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

using namespace terse;

TEST_CASE("12,000 generated strings have tiktoken's ids") {
  const auto tokens = text::Bpe::load(source_dir() / "examples/summarize/gpt2");
  const auto expected = golden_hashes("bpe_generated.bin");
  REQUIRE(expected.size() == 12001);
  const GeneratedStrings generate;
  FnvHash strings;
  std::map<std::string, int> wrong;
  std::vector<TokenId> ids;
  for (std::uint64_t i = 0; i + 1 < expected.size(); ++i) {
    const auto [text, kind] = generate(i);
    strings.add(text);
    ids.clear();
    tokens.encode(text, ids, kind == "special" ? text::SpecialTokens::as_tokens : text::SpecialTokens::as_text);
    if (FnvHash().add(ids).value() != expected[i + 1] && wrong[kind]++ < 3) {
      UNSCOPED_INFO(kind << " string " << i << ": other ids for " << in_quotes(text.substr(0, 200)));
    }
    if (tokens.decode(ids) != text) UNSCOPED_INFO(kind << " string " << i << " isn't decoded to itself"), ++wrong[kind];
  }
  CHECK(wrong == std::map<std::string, int>{});
  CHECK(strings.value() == expected[0]);  // else this test generates other strings than the golden
}

TEST_CASE("training finds the merges of Hugging Face tokenizers") {
  const GeneratedStrings generate;
  std::vector<std::string> corpus;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    auto [text, kind] = generate(i);
    if (kind == "words" || kind == "scripts" || kind == "apart" || kind == "runs") corpus.push_back(std::move(text));
  }
  const auto trained = text::train_bpe(corpus, {.vocabulary = 900, .least_count = 0});
  CHECK(trained.vocabulary() == 900);
  const TemporaryFolder folder;
  trained.save(folder.path());
  const auto read = [](const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  const std::string expected = read(golden("bpe_trained.txt"));
  REQUIRE(!expected.empty());
  CHECK(read(folder.path() / "merges.txt") == expected);
}
