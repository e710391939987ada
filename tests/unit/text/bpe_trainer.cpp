#include "terse/text/bpe_trainer.hpp"

#include "support/catch.hpp"
#include "terse/core/philox.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace terse;
using text::train_bpe;
using Texts = std::vector<std::string>;

namespace {

/// The tokens that were learned, in order, as bytes.
Texts learned(const text::Bpe& tokens) {
  const auto& all = tokens.tables().tokens;
  return Texts(all.begin() + 256, all.end() - 1);
}

}  // namespace

TEST_CASE("the pair seen most becomes a token first") {
  // Sennrich et al.'s example: low x5, lower x2, newest x6, widest x3 (each its own document, so no space before it).
  Texts documents;
  for (const auto& [word, count] : std::vector<std::pair<std::string, int>>{{"low", 5}, {"lower", 2}, {"newest", 6}, {"widest", 3}}) {
    documents.insert(documents.end(), static_cast<std::size_t>(count), word);
  }
  // es 9 and st 9: e is the lower id. Then est 9; lo 7 (o is lower than w in ow 7); low 7; ew 6 (e is lower than n and w); new 6 (n is lower than ew).
  CHECK(learned(train_bpe(documents, {.vocabulary = 263})) == Texts{"es", "est", "lo", "low", "ew", "new"});
}

TEST_CASE("white space goes with the word after it, and merges stay inside words") {
  const auto tokens = train_bpe(Texts{"aa aa aa", "aa"}, {.vocabulary = 1000});
  CHECK(learned(tokens) == Texts{"aa", " aa"});
  CHECK(tokens.encode("aa aa") == std::vector<TokenId>{256, 257});
}

TEST_CASE("training stops at the vocabulary, at the least count, or when nothing is left") {
  const Texts documents{"abcabc", "abc", "xy"};
  CHECK(train_bpe(documents, {.vocabulary = 257}).vocabulary() == 257);
  CHECK(learned(train_bpe(documents, {.vocabulary = 258})) == Texts{"ab"});
  CHECK(learned(train_bpe(documents, {.vocabulary = 1000, .least_count = 2})) == Texts{"ab", "abc"});
  CHECK(learned(train_bpe(documents, {.vocabulary = 1000, .least_count = 1})) == Texts{"ab", "abc", "xy", "abcabc"});
  CHECK(train_bpe(Texts{}, {.vocabulary = 1000}).vocabulary() == 257);
  CHECK(train_bpe(documents, {.vocabulary = 300}).end_of_text() == train_bpe(documents, {.vocabulary = 300}).vocabulary() - 1);
}

TEST_CASE("a vocabulary without room for the bytes is refused") {
  CHECK_THROWS_WITH(train_bpe(Texts{"a"}, {.vocabulary = 256}),
                    "a vocabulary of 256 is too small: 256 bytes and <|endoftext|> need 257");
}

TEST_CASE("the order of the texts doesn't matter; what was trained encodes any bytes and is loaded as it was saved") {
  RandomStream random(3, RandomUse::synthesize);
  Texts documents;
  for (int i = 0; i < 300; ++i) {
    std::string& text = documents.emplace_back();
    for (std::uint32_t left = random.below(60); left > 0; --left) text += random.below(5) == 0 ? ' ' : static_cast<char>('a' + random.below(4));
  }
  documents.emplace_back("\xFF\xFE\xFF\xFE caf\u00E9 caf\u00E9");
  const auto tokens = train_bpe(documents, {.vocabulary = 500});
  std::reverse(documents.begin(), documents.end());
  CHECK(train_bpe(documents, {.vocabulary = 500}).tables().tokens == tokens.tables().tokens);
  std::size_t bytes = 0, ids = 0;
  for (const auto& text : documents) {
    const auto encoded = tokens.encode(text);
    REQUIRE(tokens.decode(encoded) == text);
    bytes += text.size(), ids += encoded.size();
  }
  CHECK(ids * 2 < bytes);
}
