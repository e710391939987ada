// vocab.json and merges.txt, a NUL between them: a tokenizer that is accepted gives every text back.
#include <terse/text/bpe.hpp>

#include "fuzz.hpp"

using namespace terse;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view both = fuzz::text_of(data, size);
  const std::size_t middle = std::min(both.find('\0'), both.size());
  const std::string_view vocabulary = both.substr(0, middle), merges = both.substr(std::min(middle + 1, both.size()));
  fuzz::accepts([&] {
    const text::Bpe tokenizer(text::BpeTables::parse(vocabulary, merges, "fuzz"));
    const std::string_view text = merges.substr(0, 1000);
    const auto ids = tokenizer.encode(text, text::SpecialTokens::as_tokens);
    for (const auto id : ids) fuzz::require(id >= 0 && id < tokenizer.vocabulary(), "ids are of the vocabulary");
    fuzz::require(tokenizer.decode(ids) == text, "decode(encode(text)) is the text");
  });
  return 0;
}
