// tokenizer.json and tokenizer_config.json, a NUL between them: a tokenizer that is accepted encodes any text, and is the same after it was written and read again.
#include <terse/text/bpe.hpp>

#include "fuzz.hpp"

using namespace terse;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view both = fuzz::text_of(data, size);
  const std::size_t middle = std::min(both.find('\0'), both.size());
  const std::string_view tokenizer = both.substr(0, middle), config = both.substr(std::min(middle + 1, both.size()));
  fuzz::accepts([&] {
    const text::Bpe read(text::read_tokenizer_json(tokenizer, config, "fuzz"));
    const text::Bpe again(text::read_tokenizer_json(text::detail::format_tokenizer_json(read.tables()), text::detail::format_tokenizer_config(read.tables()), "again"));
    const std::string_view text = both.substr(0, 1000);
    const auto ids = read.encode(text, text::SpecialTokens::as_tokens);
    for (const auto id : ids) fuzz::require(id >= 0 && id < read.vocabulary(), "ids are of the vocabulary");
    fuzz::require(ids == again.encode(text, text::SpecialTokens::as_tokens) && read.end_of_text() == again.end_of_text(), "what is written is the same tokenizer");
  });
  return 0;
}
