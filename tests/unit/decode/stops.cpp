#include "support/catch.hpp"

#include <terse/decode/stops.hpp>
#include <terse/text/bpe_trainer.hpp>

using namespace terse;
using decode::History, decode::StopStrings, decode::StopTokens;

namespace {

/// The number of new tokens at which a text of one token a byte ends; 0: it doesn't.
std::size_t stopped_at(const text::Bpe& tokenizer, const std::vector<std::string>& strings, const std::vector<TokenId>& ids, std::size_t prompt = 0) {
  const StopStrings stop{strings, &tokenizer};
  for (std::size_t n = prompt + 1; n <= ids.size(); ++n)
    if (stop.stops(History{std::span(ids).first(n), prompt, -1})) return n - prompt;
  return 0;
}

}  // namespace

TEST_CASE("a text ends with the token that completes a stop string, wherever tokens are cut") {
  const std::vector<std::string> corpus{"the cat sat on the mat. the cat sat.", "END of the mat"};
  for (const int vocabulary : {257, 300}) {
    const auto tokenizer = text::train_bpe(corpus, {.vocabulary = vocabulary});
    const std::string text = "the cat sat on the mat. END";
    const auto ids = tokenizer.encode(text);
    for (const std::string stop : {"t", "at", "cat s", " on", ". E", "the cat sat on the mat. END", "mat."}) {
      CAPTURE(vocabulary, stop);
      std::size_t expected = 0;
      for (std::string so_far; expected < ids.size() && so_far.find(stop) == std::string::npos;) so_far += tokenizer.bytes_of(ids[expected++]);
      CHECK(stopped_at(tokenizer, {stop}, ids) == expected);
      CHECK(stopped_at(tokenizer, {"never said", stop}, ids) == expected);
    }
    CHECK(stopped_at(tokenizer, {"dog"}, ids) == 0);
    CHECK(stopped_at(tokenizer, {"cat"}, ids, ids.size() - 1) == 0);  // it stands in the prompt
  }
}

TEST_CASE("stop tokens") {
  const std::vector<TokenId> ids{1, 2, 3};
  CHECK(StopTokens{{3, 9}}.stops(History{ids, 1, -1}));
  CHECK_FALSE(StopTokens{{2}}.stops(History{ids, 1, -1}));
}
