// Any bytes through a tokenizer and back; any ids through decode, encode and decode; damaged UTF-8 is mended to UTF-8.
#include <terse/text/bpe_trainer.hpp>
#include <terse/text/synthetic.hpp>
#include <terse/text/utf8.hpp>

#include "fuzz.hpp"

using namespace terse;

namespace {

text::Bpe trained() {
  std::vector<std::string> texts;
  for (const auto& row : text::synthesize(200, 1, text::SyntheticPart::training)) texts.push_back(row.text), texts.push_back(row.summary);
  return text::train_bpe(texts, {.vocabulary = 600});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const text::Bpe tokenizer = trained();
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::require(tokenizer.decode(tokenizer.encode(text)) == text, "decode(encode(text)) is the text");
  fuzz::require(tokenizer.decode(tokenizer.encode(text, text::SpecialTokens::as_tokens)) == text, "the same with special tokens");

  std::vector<TokenId> ids;
  for (std::size_t i = 0; i + 1 < size; i += 2) ids.push_back(data[i] | data[i + 1] << 8);
  std::string decoded;
  if (fuzz::accepts([&] { decoded = tokenizer.decode(ids); })) fuzz::require(tokenizer.decode(tokenizer.encode(decoded)) == decoded, "decoded ids are a text as any other");

  const std::string mended = text::replace_malformed(text);
  fuzz::require(text::utf8_prefix(mended) == mended.size(), "what is mended is UTF-8");
  fuzz::require(text::utf8_prefix(text) != size || mended == text, "UTF-8 needs no mending");
  return 0;
}
