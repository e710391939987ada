// GPT-2 124M (random weights) writes 32 tokens for each of the first dialogues, greedily; reading the prompts counts too.
// The roof: the products of all prompt rows, then one reading of all weights for each new token.
#include <benchmark/benchmark.h>

#include <terse/terse.hpp>

#include "data.hpp"
#include "roof.hpp"

using namespace terse;

namespace {

constexpr int new_tokens = 32;

/// `bytes`: of a weight.
template <Precision P, class Model>
void decode_batch(benchmark::State& state, Cpu& cpu, const Model& model, double bytes) {
  const auto tokenizer = bench_tokenizer();
  const Index slots = state.range(0);
  const auto prompts = text::make_prompts(tokenizer, bench_dialogues(static_cast<std::size_t>(slots)), 900);
  decode::Generator<Model> generator(model, decode::no_end_of_text, {slots, slots + 256});
  const auto numbered = decode::numbered(prompts);

  std::size_t rows = 0, tokens = 0;
  for (const auto& ids : prompts) rows += ids.size();
  using Original = models::Gpt<models::Gpt2, P, Cpu>;
  const double weights = static_cast<double>(Original::flat_size);
  const bench::Work reading{.flops = 24.0 * models::Gpt2::layers * static_cast<double>(Original::C * Original::C) * static_cast<double>(rows)};
  const bench::Work step{2 * weights * static_cast<double>(slots), weights * bytes};
  const double least = bench::least_seconds(cpu, reading) + new_tokens * bench::least_seconds(cpu, step);
  for (auto _ : state)
    for (const auto& text : generator.generate(numbered, {.greedy = true, .max_new = new_tokens})) tokens += text.ids.size();
  bench::report(state, {}, least);
  state.counters["new tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
  state.counters["tokens"] = static_cast<double>(rows);
}

template <Precision P>
void decode_original(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, P, Cpu>;
  Cpu cpu;
  Model model(cpu);
  nn::initialize<Model>(model.flat(), 42);
  decode_batch<P>(state, cpu, model, sizeof(typename P::Parameter));
}

void decode_quantized(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, Fp32, Cpu>;
  Cpu cpu;
  Model model(cpu);
  nn::initialize<Model>(model.flat(), 42);
  const models::QuantizedGpt quantized(model);
  decode_batch<Fp32>(state, cpu, quantized, 1);
}

void text_batch(benchmark::internal::Benchmark* benchmark) { benchmark->ArgName("texts")->Iterations(1)->Unit(benchmark::kMillisecond)->UseRealTime(); }

}  // namespace

BENCHMARK(decode_original<Fp32>)->Name("decode/fp32")->Arg(1)->Arg(8)->Arg(32)->Apply(text_batch);
BENCHMARK(decode_original<Bf16Mixed>)->Name("decode/bf16")->Arg(1)->Arg(8)->Arg(32)->Apply(text_batch);
BENCHMARK(decode_quantized)->Name("decode/int8")->Arg(1)->Arg(8)->Arg(32)->Apply(text_batch);
