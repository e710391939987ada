// Texts written on the emulated GPU are the CPU's, in whatever batch.
#include <terse/cuda.hpp>
#include <terse/decode/strategies.hpp>
#include <terse/models/llama.hpp>

#include <cmath>
#include <vector>

#include <hostcuda/control.hpp>

#include "support/catch.hpp"
#include "support/sanitized.hpp"
#include "unit/decode/small_model.hpp"

using namespace terse;
using namespace terse::decode;

namespace {

struct SmallLlama : models::Config<models::LlamaConfig{.vocabulary = 50, .context = 64, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 40, .rope_theta = 100, .tied = false}> {};

template <class Config>
using GpuModel = models::Model<Config, Fp32, Cuda>;
template <class Config>
using CpuModel = models::Model<Config, Fp32, Cpu>;

const Strategy greedy{.greedy = true, .max_new = 12};
const Strategy sampled{.temperature = 1.5f, .top_k = 20, .max_new = 12, .seed = 3};
const Strategy nucleus{.temperature = 1.5f, .top_k = 20, .top_p = 0.9f, .max_new = 4, .seed = 3};
const Strategy typical{.temperature = 1.5f, .top_k = 0, .min_p = 0.02f, .typical = 0.8f, .max_new = 4, .seed = 3};

template <class Config = Small>
std::vector<Generation> on_gpu(const std::vector<std::vector<TokenId>>& prompts, const Strategy& strategy, GeneratorSize size) {
  Cpu cpu(1);
  CpuModel<Config> given(cpu);
  randomize(given);
  Cuda cuda(0);
  GpuModel<Config> model(cuda);
  cuda.copy_from_host(model.flat(), given.flat(), static_cast<std::size_t>(GpuModel<Config>::flat_size) * sizeof(float));
  Generator<GpuModel<Config>> generator(model, end_of_text, size);
  return generator.generate(numbered(prompts), strategy);
}

template <class Config = Small>
std::vector<Generation> on_cpu(const std::vector<std::vector<TokenId>>& prompts, const Strategy& strategy) {
  Cpu cpu(1);
  CpuModel<Config> model(cpu);
  randomize(model);
  Generator generator(model, end_of_text);
  return generator.generate(numbered(prompts), strategy);
}

const Strategy ruled = Sample{RepetitionPenalty{1.2f}, NoRepeatNgram{2}, BadWords{{{4}, {5, 6}}}, MinNew{4}, ForcedTokens{{8}}, Temperature{1.5f}, TopK{20}, TopP{0.9f}, MaxNew{8}, Seed{3}};
const Strategy beam = Beam{Beams{.count = 3, .length_penalty = 0.8f, .returned = 2}, RepetitionPenalty{1.1f}, NoRepeatNgram{3}, MinNew{2}, MaxNew{12}};
const Strategy best_of = BestOf{Samples{.count = 3, .returned = 2}, Temperature{1.5f}, MaxNew{12}};
const Strategy guessed = Greedy{MaxNew{24}, Draft{4}};
const Strategy contrastive = Contrastive{RepetitionPenalty{1.1f}, TopK{3}, Penalty{0.6f}, MaxNew{12}};

}  // namespace

// Equal wherever no decision is closer than rounding, which among these few tokens none is.
TEST_CASE("texts of the GPU are the CPU's: greedy, sampled, from the nucleus, of typical surprise") {
  const auto prompts = random_prompts(is_sanitized ? 2 : 10);
  for (const Strategy& strategy : {greedy, sampled, nucleus, typical}) {
    CAPTURE(strategy.greedy, strategy.top_p, strategy.typical);
    const auto want = on_cpu(prompts, strategy), got = on_gpu(prompts, strategy, {.slots = 3, .rows = 9});
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      CAPTURE(i);
      CHECK(got[i].ids == want[i].ids);
      CHECK(got[i].stop == want[i].stop);
      CHECK(got[i].logprob == Approx(want[i].logprob).epsilon(1e-4));
    }
    if constexpr (is_sanitized) break;
  }
}

TEST_CASE("a text of the GPU has the same bits in any batch and under any order of threads; steps that only write are graphs") {
  const auto prompts = random_prompts(is_sanitized ? 2 : 5);
  const auto alone = on_gpu(prompts, greedy, {.slots = 1, .rows = 40});
  hostcuda::reset();
  for (const std::uint64_t seed : hostcuda::seeds()) {
    hostcuda::set_seed(seed);
    for (const GeneratorSize size : {GeneratorSize{.slots = 2, .rows = 2}, {.slots = 5}}) {
      const auto texts = on_gpu(prompts, greedy, size);
      for (std::size_t i = 0; i < prompts.size(); ++i) CHECK((texts[i].ids == alone[i].ids && texts[i].logprob == alone[i].logprob));
    }
  }
  hostcuda::set_seed(0);
  CHECK(hostcuda::statistics().graphs >= 12);
}

TEST_CASE("texts of the GPU are the CPU's: by rules, by beams, the best of several, with guesses, by contrast; what prompts begin with is read once") {
  auto prompts = random_prompts(is_sanitized ? 2 : 6);
  for (auto& prompt : prompts) prompt.insert(prompt.begin(), {3, 1, 4, 1, 5, 9});
  for (const Strategy& strategy : {ruled, beam, best_of, guessed, contrastive}) {
    CAPTURE(strategy.has_rules(), strategy.beams, strategy.samples, strategy.draft);
    const auto want = on_cpu(prompts, strategy), got = on_gpu(prompts, strategy, {.slots = 6, .rows = 16});
    REQUIRE(want.size() == prompts.size() * static_cast<std::size_t>(strategy.returned));
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      CAPTURE(i);
      CHECK(got[i].ids == want[i].ids);
      CHECK(got[i].stop == want[i].stop);
      CHECK(got[i].logprob == Approx(want[i].logprob).epsilon(1e-4));
      CHECK(got[i].score == Approx(want[i].score).epsilon(1e-4));
    }
  }
}

TEST_CASE("texts of beams, with guesses and by contrast have the same bits on the GPU in any batch and under any order of threads") {
  const auto prompts = random_prompts(3);
  for (const Strategy& strategy : {beam, guessed, contrastive}) {
    const auto alone = on_gpu(prompts, strategy, {.slots = 3, .rows = 40});
    for (const std::uint64_t seed : hostcuda::seeds()) {
      hostcuda::set_seed(seed);
      const auto texts = on_gpu(prompts, strategy, {.slots = 7, .rows = 9});
      for (std::size_t i = 0; i < alone.size(); ++i) CHECK((texts[i].ids == alone[i].ids && texts[i].logprob == alone[i].logprob && texts[i].score == alone[i].score));
    }
    hostcuda::set_seed(0);
  }
}

TEST_CASE("Llama: texts of the GPU are the CPU's, and have the same bits in any batch") {
  const auto prompts = random_prompts(is_sanitized ? 2 : 6);
  for (const Strategy& strategy : {greedy, nucleus, beam, guessed}) {
    CAPTURE(strategy.greedy, strategy.top_p, strategy.beams, strategy.draft);
    const auto want = on_cpu<SmallLlama>(prompts, strategy), got = on_gpu<SmallLlama>(prompts, strategy, {.slots = 6, .rows = 16}),
               narrow = on_gpu<SmallLlama>(prompts, strategy, {.slots = 3, .rows = 40});
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      CAPTURE(i);
      CHECK(got[i].ids == want[i].ids);
      CHECK(got[i].stop == want[i].stop);
      CHECK(got[i].logprob == Approx(want[i].logprob).epsilon(1e-4));
      CHECK((narrow[i].ids == got[i].ids && narrow[i].logprob == got[i].logprob));
    }
    if constexpr (is_sanitized) break;
  }
}
