#pragma once
// A small GPT with random weights, spread out so that its texts vary and end at different lengths.
#include <vector>

#include <terse/core/philox.hpp>
#include <terse/device/cpu.hpp>
#include <terse/models/gpt.hpp>

struct Small : terse::models::Config<terse::models::GptConfig{.vocabulary = 50, .context = 64, .layers = 2, .heads = 3, .width = 24}> {};
using SmallGpt = terse::models::Gpt<Small, terse::Fp32, terse::Cpu>;
inline constexpr terse::TokenId end_of_text = 49;

/// Weights uniform with `spread` times the deviation of a fresh GPT's, scaled up for the small width.
template <class Model>
void randomize(Model& model, float spread = 20) {
  terse::RandomStream random(7, terse::RandomUse::initialize);
  for (const auto& parameter : Model::table)
    for (terse::Index i = 0; i < parameter.saved_rows * parameter.columns; ++i)
      model.flat()[parameter.offset + i] =
          static_cast<typename Model::Parameter>(parameter.traits.mean + (random.uniform() - 0.5f) * 1.732f * spread * 0.02f);
}

struct SmallModel {
  explicit SmallModel(int threads = 1) : cpu(threads), gpt(cpu) { randomize(gpt); }
  terse::Cpu cpu;
  SmallGpt gpt;
};

/// Random prompts of 1 to 30 tokens.
inline std::vector<std::vector<terse::TokenId>> random_prompts(std::size_t count) {
  terse::RandomStream random(11, terse::RandomUse::synthesize);
  std::vector<std::vector<terse::TokenId>> prompts(count);
  for (auto& prompt : prompts) {
    prompt.resize(1 + random.below(30));
    for (auto& id : prompt) id = static_cast<terse::TokenId>(random.below(end_of_text));
  }
  return prompts;
}
