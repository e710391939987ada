// Tokenizers with SmolLM's pre-tokenizer and special tokens against Hugging Face tokenizers (goldens: tests/goldens/bpe_smollm.py).
#include "support/bpe_strings.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "terse/io/gguf.hpp"
#include "terse/text/bpe.hpp"

#include <string>
#include <vector>

using namespace terse;

namespace {

int with_other_ids(const text::Bpe& tokens) {
  const auto expected = golden_hashes("bpe_smollm.bin");
  REQUIRE(expected.size() == 3000);
  const GeneratedStrings generate;
  int wrong = 0;
  for (std::uint64_t i = 0; i < expected.size(); ++i) {
    const auto [text, kind] = generate(i);
    if (FnvHash().add(tokens.encode(text, text::SpecialTokens::as_tokens)).value() == expected[i]) continue;
    if (wrong++ < 3) UNSCOPED_INFO(kind << " string " << i << ": other ids for " << in_quotes(text.substr(0, 200)));
  }
  return wrong;
}

}  // namespace

TEST_CASE("3,000 generated strings have the ids of tokenizers, from tokenizer.json and as we save it") {
  const auto tokens = text::Bpe::load(golden("smollm_tokenizer"));
  CHECK(tokens.vocabulary() == 600);
  CHECK(tokens.tables().piece_rule == text::PieceRule::smollm);
  CHECK(tokens.tables().added == std::vector<text::AddedToken>{{0}, {1}, {2}});
  CHECK(tokens.end_of_text() == 2);
  CHECK(tokens.bytes_of(2) == "<|im_end|>");
  CHECK(with_other_ids(tokens) == 0);
  const TemporaryFolder folder;
  tokens.save(folder.path());
  const auto again = text::Bpe::load(folder.path());
  CHECK(again.tables().tokens == tokens.tables().tokens);
  CHECK(again.tables().added == tokens.tables().added);
  CHECK(again.end_of_text() == 2);
  CHECK(with_other_ids(again) == 0);
}

TEST_CASE("a tokenizer goes into a GGUF file and back") {
  const auto tokens = text::Bpe::load(golden("smollm_tokenizer")), gpt2 = text::Bpe::load(source_dir() / "examples/summarize/gpt2");
  const TemporaryFolder folder;
  const auto path = folder.path() / "tokenizer.gguf";
  io::write_gguf(path, io::gguf_tokenizer(tokens), {});
  const auto again = io::load_tokenizer(path);
  CHECK(again.tables().tokens == tokens.tables().tokens);
  CHECK(again.tables().added == tokens.tables().added);
  CHECK(again.end_of_text() == tokens.end_of_text());
  CHECK(with_other_ids(again) == 0);

  io::write_gguf(path, io::gguf_tokenizer(gpt2), {});
  const auto gpt2_again = io::load_tokenizer(path);
  CHECK(gpt2_again.tables().tokens == gpt2.tables().tokens);
  CHECK(gpt2_again.tables().piece_rule == text::PieceRule::gpt2);
  CHECK(gpt2_again.end_of_text() == 50256);
  gpt2_again.save(folder.path() / "gpt2");  // what vocab.json and merges.txt can say, they say
  for (const char* file : {"vocab.json", "merges.txt"}) CHECK(io::read_file(folder.path() / "gpt2" / file) == io::read_file(source_dir() / "examples/summarize/gpt2" / file));
  CHECK(!std::filesystem::exists(folder.path() / "gpt2" / "tokenizer.json"));
}
