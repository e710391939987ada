// Decoding strategies against transformers' `generate`: rules alone and together, beam searches. tests/goldens/decoding.py wrote what is expected;
// TERSE_DECODING_GOLDENS names the file of another sweep (its --full).
#include <cstdlib>

#include <terse/decode/generator.hpp>

#include "support/gpt_judge.hpp"

using namespace judge;
using decode::Generation, decode::Stop, decode::Strategy;
using nlohmann::json;

namespace {

json cases_from(const char* variable, const char* file) {
  const char* const other = std::getenv(variable);
  return json::parse(std::ifstream(other != nullptr ? std::filesystem::path(other) : golden(file)));
}

decode::EarlyStopping early_stopping(const json& value) {
  if (value.is_string()) return decode::EarlyStopping::never;
  return value.get<bool>() ? decode::EarlyStopping::yes : decode::EarlyStopping::no;
}

/// transformers' options as ours.
Strategy strategy_of(const json& options) {
  Strategy strategy{.greedy = true};
  for (const auto& [name, value] : options.items()) {
    if (name == "max_new_tokens") strategy.max_new = value;
    else if (name == "repetition_penalty") strategy.repetition_penalty.penalty = value;
    else if (name == "no_repeat_ngram_size") strategy.no_repeat_ngram.size = value;
    else if (name == "bad_words_ids") strategy.bad_words.words = value.get<std::vector<std::vector<TokenId>>>();
    else if (name == "min_new_tokens") strategy.min_new.count = value;
    else if (name == "forced") strategy.forced.ids = value.get<std::vector<TokenId>>();
    else if (name == "num_beams") strategy.beams = value, strategy.greedy = false;
    else if (name == "num_beam_groups") strategy.beam_groups = value;
    else if (name == "diversity_penalty") strategy.diversity = value;
    else if (name == "penalty_alpha") strategy.penalty_alpha = value, strategy.greedy = false;
    else if (name == "top_k") strategy.top_k = value;
    else if (name == "length_penalty") strategy.length_penalty = value;
    else if (name == "early_stopping") strategy.early_stopping = early_stopping(value);
    else if (name == "num_return_sequences") strategy.returned = value;
    else FAIL("an option nobody knows: " << name);
  }
  return strategy;
}

struct Compared {
  std::size_t texts = 0, different = 0;
  double worst_score = 0;
};

/// One case: all of its prompts in one run, so in one batch.
void compare(decode::Generator<Model<G>>& generator, const json& file, const json& expected, Compared& all) {
  const Strategy strategy = strategy_of(expected["options"]);
  std::vector<std::size_t> prompts;
  for (const auto& text : expected["texts"])
    if (prompts.empty() || prompts.back() != text["prompt"]) prompts.push_back(text["prompt"]);
  std::vector<std::vector<TokenId>> ids;
  for (const auto prompt : prompts) ids.push_back(file["prompts"][prompt].get<std::vector<TokenId>>());
  REQUIRE(expected["texts"].size() == ids.size() * static_cast<std::size_t>(strategy.returned));

  const auto texts = generator.generate(decode::numbered(ids), strategy);
  for (std::size_t i = 0; i < texts.size(); ++i, ++all.texts) {
    CAPTURE(expected["options"].dump(), expected["texts"][i]["prompt"].get<int>());
    const auto want = expected["texts"][i]["ids"].get<std::vector<TokenId>>();
    if (texts[i].ids != want) ++all.different;
    CHECK(texts[i].ids == want);
    if (expected["texts"][i]["score"].is_null()) continue;
    const double score = expected["texts"][i]["score"], difference = std::abs(static_cast<double>(texts[i].score) - score) / std::max(1.0, std::abs(score));
    all.worst_score = std::max(all.worst_score, difference);
    CHECK(difference < 1e-4);
  }
}

}  // namespace

TEST_CASE("rules and beam searches write what transformers' generate writes") {
  const json file = cases_from("TERSE_DECODING_GOLDENS", "decoding.json");
  REQUIRE(file["cases"].size() >= 140);
  Cpu cpu(2);
  Model<G> model(cpu);
  fill_weights(model, "G.spread", true);
  decode::Generator generator(model, file["end_of_text"].get<TokenId>(), {.slots = 16});
  Compared all;
  for (const auto& expected : file["cases"]) compare(generator, file, expected, all);
  CHECK(all.texts >= 1100);
  WARN(file["cases"].size() << " cases, " << all.texts << " texts, " << all.different << " different; largest difference of a score " << all.worst_score);
}

namespace {

/// The cases of decoding_old.json that have the option.
Compared compare_old(const char* option, std::size_t least) {
  const json file = cases_from("TERSE_DECODING_OLD_GOLDENS", "decoding_old.json");
  Cpu cpu(2);
  Model<G> model(cpu);
  fill_weights(model, "G.spread", true);
  decode::Generator generator(model, file["end_of_text"].get<TokenId>(), {.slots = 16});
  Compared all;
  std::size_t cases = 0;
  for (const auto& expected : file["cases"]) {
    if (!expected["options"].contains(option) || expected["options"]["max_new_tokens"] == 29) continue;  // 29: the last id lies behind the context
    compare(generator, file, expected, all), ++cases;
  }
  CHECK(cases >= least);
  WARN(cases << " cases, " << all.texts << " texts, " << all.different << " different; largest difference of a score " << all.worst_score);
  return all;
}

}  // namespace

TEST_CASE("diverse beam search writes what the last transformers that had it wrote") { compare_old("num_beam_groups", 20); }

TEST_CASE("contrastive search writes what the last transformers that had it wrote") { CHECK(compare_old("penalty_alpha", 6).texts >= 40); }
