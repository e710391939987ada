// GPT-2 124M (random weights) writes 32 tokens for each of the first dialogues, greedily; reading the prompts counts too. `evaluation` is 64 tokens for
// each of 64 dialogues, so many at a time (peers/engines.py does the same).
// The roof: the products of all prompt rows, then one reading of all weights for each new token.
#include <benchmark/benchmark.h>

#include <terse/terse.hpp>

#include "data.hpp"
#include "roof.hpp"

using namespace terse;

namespace {

/// How much is written: `texts` of `new_tokens` each, `slots` at a time.
struct Texts {
  Index texts, slots;
  int new_tokens;
};
Texts one_batch(const benchmark::State& state) { return {state.range(0), state.range(0), 32}; }
Texts evaluation(const benchmark::State& state) { return {64, state.range(0), 64}; }

/// `bytes`: of a weight.
template <Precision P, class Model>
void decode_texts(benchmark::State& state, Cpu& cpu, const Model& model, double bytes, Texts work) {
  const auto tokenizer = bench_tokenizer();
  const auto prompts = text::make_prompts(tokenizer, bench_dialogues(static_cast<std::size_t>(work.texts)), 900);
  decode::Generator<Model> generator(model, decode::no_end_of_text, {.slots = work.slots});
  const auto numbered = decode::numbered(prompts);

  std::size_t rows = 0, tokens = 0;
  for (const auto& ids : prompts) rows += ids.size();
  using Original = models::Gpt<models::Gpt2, P, Cpu>;
  const double weights = static_cast<double>(Original::flat_size);
  const bench::Work reading{.flops = 24.0 * models::Gpt2::layers * static_cast<double>(Original::C * Original::C) * static_cast<double>(rows)};
  const bench::Work step{2 * weights * static_cast<double>(work.slots), weights * bytes};
  const double steps = static_cast<double>(work.new_tokens * work.texts) / static_cast<double>(work.slots);
  using Multiplied = std::conditional_t<std::same_as<P, Bf16Mixed>, bfloat16, float>;
  const double least = bench::least_seconds<Multiplied>(cpu, reading) + steps * bench::least_seconds<Multiplied>(cpu, step);
  for (auto _ : state)
    for (const auto& text : generator.generate(numbered, {.greedy = true, .max_new = work.new_tokens})) tokens += text.ids.size();
  bench::report(state, {}, least);
  state.counters["new tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
  state.counters["tokens"] = static_cast<double>(rows);
}

template <Precision P, auto texts_of>
void decode_original(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, P, Cpu>;
  Cpu cpu;
  Model model(cpu);
  nn::initialize<Model>(model.flat(), 42);
  decode_texts<P>(state, cpu, model, sizeof(typename P::Parameter), texts_of(state));
}

template <auto texts_of>
void decode_quantized(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, Fp32, Cpu>;
  Cpu cpu;
  Model model(cpu);
  nn::initialize<Model>(model.flat(), 42);
  const models::Quantized quantized(model);
  decode_texts<Fp32>(state, cpu, quantized, 1, texts_of(state));
}

/// Real summaries as if the model wrote them, one text at a time: how many of a step's guesses are right depends on the text alone, so a small model will do.
void guesses_of_references(benchmark::State& state) {
  using Model = models::Gpt<models::Tiny, Fp32, Cpu>;
  Cpu cpu;
  Model model(cpu);
  nn::initialize<Model>(model.flat(), 42);
  const auto tokenizer = bench_tokenizer();
  const auto dialogues = bench_dialogues(64);
  const auto prompts = text::make_prompts(tokenizer, dialogues, 900);
  decode::Generator<Model> generator(model, decode::no_end_of_text, {.slots = 1, .drafts = state.range(0)});
  std::int64_t tokens = 0, steps = 0, guesses = 0, right = 0;
  for (auto _ : state)
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const decode::Prompt prompt{prompts[i], i, {}};
      decode::Strategy strategy{.greedy = true, .forced = {tokenizer.encode(dialogues.rows[i].summary)}, .draft = static_cast<int>(state.range(0))};
      strategy.max_new = static_cast<int>(strategy.forced.ids.size());
      generator.generate({&prompt, 1}, strategy);
      const auto& effort = generator.effort();
      tokens += effort.new_tokens, steps += effort.steps, guesses += effort.guesses, right += effort.right;
    }
  state.counters["tokens a step"] = static_cast<double>(tokens) / static_cast<double>(steps);
  state.counters["right"] = static_cast<double>(right) / static_cast<double>(guesses);
}

void text_batch(benchmark::internal::Benchmark* benchmark) { benchmark->ArgName("texts")->Iterations(1)->Unit(benchmark::kMillisecond)->UseRealTime(); }

}  // namespace

BENCHMARK(decode_original<Fp32, one_batch>)->Name("decode/fp32")->Arg(1)->Arg(8)->Arg(32)->Apply(text_batch);
BENCHMARK(decode_original<Bf16Mixed, one_batch>)->Name("decode/bf16")->Arg(1)->Arg(8)->Arg(32)->Apply(text_batch);
BENCHMARK(decode_quantized<one_batch>)->Name("decode/int8")->Arg(1)->Arg(8)->Arg(32)->Apply(text_batch);
BENCHMARK(decode_original<Fp32, evaluation>)->Name("evaluation/fp32")->Arg(32)->Apply(text_batch);
BENCHMARK(decode_original<Bf16Mixed, evaluation>)->Name("evaluation/bf16")->Arg(32)->Apply(text_batch);
BENCHMARK(decode_quantized<evaluation>)->Name("evaluation/int8")->Arg(32)->Apply(text_batch);
BENCHMARK(guesses_of_references)->Name("guesses/references")->ArgName("draft")->Arg(2)->Arg(4)->Arg(7)->Iterations(1)->Unit(benchmark::kMillisecond);
