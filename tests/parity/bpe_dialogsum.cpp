// The tokenizer against tiktoken, and the trainer against Hugging Face tokenizers, on DialogSum (goldens: tests/goldens/bpe.py).
#include "support/bpe_strings.hpp"
#include "support/catch.hpp"
#include "support/dialogsum_texts.hpp"
#include "support/files.hpp"
#include "terse/text/bpe.hpp"
#include "terse/text/bpe_trainer.hpp"

#include <string>
#include <vector>

using namespace terse;

TEST_CASE("DialogSum's texts and 5,000 parts of them have tiktoken's ids and decode to themselves") {
  const auto expected = golden_hashes("bpe_dialogsum.bin");
  const auto texts = dialogsum_texts();
  REQUIRE(texts.size() == 8000);
  REQUIRE(expected.size() == texts.size() + 1);

  const auto tokens = text::Bpe::load(source_dir() / "examples/summarize/gpt2");
  int wrong = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto ids = tokens.encode(texts[i]);
    wrong += FnvHash().add(ids).value() != expected[i] || tokens.decode(ids) != texts[i];
  }
  CHECK(wrong == 0);

  const TemporaryFolder folder;
  text::train_bpe(dialogsum_fields(), {.vocabulary = 4000, .least_count = 2}).save(folder.path());
  CHECK(FnvHash().add(read_whole(folder.path() / "merges.txt")).value() == expected.back());
}
