// Texts of small models, by several strategies, on two threads. TEXTS: the name of this object's function.
#include "texts.hpp"

#include <terse/decode/generator.hpp>
#include <terse/models/llama.hpp>
#include <terse/models/quantized.hpp>

#include "support/random_weights.hpp"
#include "unit/decode/small_model.hpp"

using namespace terse;

namespace {

// Widths and heads that fill no register, and some.
struct Odd : models::Config<models::GptConfig{.vocabulary = 203, .context = 64, .layers = 2, .heads = 3, .width = 21}> {};
struct Even : models::Config<models::GptConfig{.vocabulary = 203, .context = 64, .layers = 2, .heads = 2, .width = 64}> {};
struct Llama : models::Config<models::LlamaConfig{.vocabulary = 203, .context = 64, .layers = 2, .heads = 2, .key_value_heads = 1, .width = 128, .hidden = 136, .rope_theta = 100, .tied = false}> {};

std::uint64_t checksum(const std::vector<decode::Generation>& texts) {
  std::uint64_t hash = fnv1a("");
  const auto add = [&hash](const auto* values, std::size_t count) { hash = fnv1a({reinterpret_cast<const char*>(values), count * sizeof *values}, hash); };
  for (const auto& text : texts) add(text.ids.data(), text.ids.size()), add(text.token_logprobs.data(), text.token_logprobs.size()), add(&text.logprob, 1);
  return hash;
}

template <class Model>
void write_with(const Model& model, const std::string& name, Texts& texts) {
  const auto ids = random_prompts(9);
  const auto prompts = decode::numbered(ids);
  const std::pair<const char*, decode::Strategy> strategies[] = {
      {"greedy", {.greedy = true, .max_new = 24}},
      {"sampled", {.temperature = 1.3f, .top_k = 40, .top_p = 0.9f, .max_new = 24, .seed = 3}},
      {"typical", {.typical = 0.8f, .repetition_penalty = {1.2f}, .max_new = 24, .seed = 4}},
      {"beams", {.max_new = 24, .beams = 3, .length_penalty = 0.6f}},
      {"contrastive", {.top_k = 4, .max_new = 24, .penalty_alpha = 0.6f}}};
  for (const auto& [strategy_name, strategy] : strategies) {
    decode::Generator<Model> generator(model, end_of_text, {.slots = 12, .rows = 20});
    texts.emplace_back(name + ", " + strategy_name, checksum(generator.generate(prompts, strategy)));
  }
}

template <class Model, bool quantizes = false>
void write(const std::string& name, Texts& texts) {
  Cpu cpu(2);
  Model model(cpu);
  randomize(model);
  write_with(model, name, texts);
  if constexpr (quantizes) write_with(models::Quantized(model), name + " int8", texts);
}

}  // namespace

Texts TEXTS() {
  Texts texts;
  write<models::Gpt<Odd, Fp32, Cpu>>("GPT, odd sizes, fp32", texts);
  write<models::Gpt<Even, Fp32, Cpu>, true>("GPT, fp32", texts);
  write<models::Gpt<Even, Bf16Mixed, Cpu>>("GPT, bf16", texts);
  write<models::Gpt<Even, Fp16Mixed, Cpu>>("GPT, fp16", texts);
  write<models::Llama<Llama, Fp32, Cpu>, true>("Llama, fp32", texts);
  return texts;
}
