// SmolLM2's tokenizer, from its GGUF file, against Hugging Face tokenizers (goldens: tests/goldens/bpe_smollm.py).
#include "support/bpe_strings.hpp"
#include "support/catch.hpp"
#include "support/dialogsum_texts.hpp"
#include "support/files.hpp"
#include "terse/io/gguf.hpp"

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

using namespace terse;

TEST_CASE("12,000 generated strings, and DialogSum's 8,000 where they are, have the ids of tokenizers, also after saving") {
  const std::filesystem::path file = std::getenv("TERSE_TEST_SMOLLM2");
  const auto tokens = io::load_tokenizer(file);
  CHECK(tokens.vocabulary() == 49152);
  CHECK(tokens.end_of_text() == 2);
  CHECK(tokens.bytes_of(2) == "<|im_end|>");
  const TemporaryFolder folder;
  tokens.save(folder.path());
  const auto again = text::Bpe::load(folder.path());

  const auto expected = golden_hashes("bpe_smollm2.bin");
  REQUIRE(expected.size() == 20000);
  std::vector<std::string> texts;
  const GeneratedStrings generate;
  for (std::uint64_t i = 0; i < 12000; ++i) texts.push_back(generate(i).text);
  if (std::getenv("TERSE_TEST_DATA") != nullptr)
    for (auto& text : dialogsum_texts()) texts.push_back(std::move(text));
  else WARN("TERSE_TEST_DATA isn't set: without DialogSum");
  int wrong = 0, wrong_again = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    wrong += FnvHash().add(tokens.encode(texts[i], text::SpecialTokens::as_tokens)).value() != expected[i];
    wrong_again += FnvHash().add(again.encode(texts[i], text::SpecialTokens::as_tokens)).value() != expected[i];
  }
  CHECK(wrong == 0);
  CHECK(wrong_again == 0);
}

TEST_CASE("SmolLM2's sizes and weights") {
  const auto file = io::GgufFile::open(std::getenv("TERSE_TEST_SMOLLM2"));
  auto sizes = io::ModelSizes::of<models::SmolLm2>();
  CHECK(sizes.reads(io::read_sizes(file)));
  sizes.context = 8192;
  CHECK(io::read_sizes(file) == sizes);
  const io::GgufWeights weights(file);
  std::uint64_t sum = 0;
  for (const auto& [name, tensor] : weights.tensors()) {
    CHECK(name.starts_with("model."));
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.size() == 2 ? tensor.shape[0] * tensor.shape[1] : tensor.shape[0]));
    weights.read<float>(name, tensor.shape, std::span(values));
    sum *= 31;
    for (std::size_t i = 0; i < values.size(); ++i) sum += std::bit_cast<std::uint32_t>(values[i]) * std::uint64_t{i + 1};
  }
  CHECK(weights.tensors().size() == 272);
  CHECK(sum == 2815911053081132672u);  // of the parameters that transformers 5.23 reads from the file
}
