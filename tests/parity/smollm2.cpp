// SmolLM2, from its GGUF file: the tokenizer against Hugging Face tokenizers (goldens: tests/goldens/bpe_smollm.py), the model against transformers (in the folder
// TERSE_TEST_SMOLLM2_GOLDENS, which tests/goldens/on_demand/smollm2.py writes).
#include "support/bpe_strings.hpp"
#include "support/catch.hpp"
#include "support/dialogsum_texts.hpp"
#include "support/files.hpp"
#include "support/logits.hpp"

#include <terse/decode/generator.hpp>
#include <terse/io/gguf.hpp>
#include <terse/models/llama.hpp>

#include <nlohmann/json.hpp>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <fstream>
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

TEST_CASE("SmolLM2's logits are transformers' to 1e-4, and its greedy texts the same, on real dialogues") {
  if (std::getenv("TERSE_TEST_SMOLLM2_GOLDENS") == nullptr) {
    WARN("TERSE_TEST_SMOLLM2_GOLDENS isn't set: skipped");
    return;
  }
  using Model = models::Llama<models::SmolLm2, Fp32, Cpu>;
  const std::filesystem::path folder = std::getenv("TERSE_TEST_SMOLLM2_GOLDENS");
  const auto expected = io::SafetensorsFile::open(folder / "golden.safetensors");
  const auto texts = nlohmann::json::parse(std::ifstream(folder / "golden.json"));
  const auto tokens = io::load_tokenizer(std::getenv("TERSE_TEST_SMOLLM2"));
  Cpu cpu(2);
  Model model(cpu);
  io::read_weights<Model>(std::getenv("TERSE_TEST_SMOLLM2"), model.flat());

  float furthest = 0;
  std::vector<std::vector<TokenId>> prompts;
  for (std::size_t d = 0; d < texts.size(); ++d) {
    prompts.push_back(texts[d]["ids"].get<std::vector<TokenId>>());
    CHECK(tokens.encode(tokens.decode(prompts[d])) == prompts[d]);
    const auto ours = logits_of(model, {prompts[d]});
    std::vector<float> theirs(8 * Model::V);
    expected.read<float>("logits." + std::to_string(d), {8, Model::V}, theirs);
    for (std::size_t i = 0; i < theirs.size(); ++i) furthest = std::max(furthest, std::abs(theirs[theirs.size() - 1 - i] - ours[ours.size() - 1 - i]));
  }
  INFO("furthest logit " << furthest);
  CHECK(furthest < 1e-4f);

  std::vector<decode::Prompt> asked;
  for (const auto& ids : prompts) asked.push_back({.ids = ids});
  const auto made = decode::Generator<Model>(model, -1, {.slots = 20}).generate(asked, decode::Strategy{.greedy = true, .max_new = static_cast<int>(texts[0]["new"].size())}, {});
  std::size_t compared = 0;
  for (std::size_t d = 0; d < texts.size(); ++d)  // up to where two tokens are as good as equal
    for (std::size_t i = 0; i < made[d].ids.size() && texts[d]["gaps"][i].get<double>() > 1e-3; ++i, ++compared) {
      INFO("text " << d << ", token " << i);
      REQUIRE(made[d].ids[i] == texts[d]["new"][i].get<TokenId>());
    }
  WARN(texts.size() << " texts, " << compared << " tokens compared; furthest logit " << furthest);
}
