// New tokens a second of GPT-2 124M (random weights), against the memory's roof: each step reads every weight once.
#include <benchmark/benchmark.h>

#include <terse/terse.hpp>

#include "data.hpp"

using namespace terse;

namespace {

template <Precision P>
void decode_batch(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, P, Cpu>;
  Cpu cpu(2);
  Model model(cpu);
  nn::initialize<Model>(model.flat(), 42);
  const auto tokenizer = bench_tokenizer();
  const Index slots = state.range(0);
  const auto prompts = text::make_prompts(tokenizer, bench_dialogues(static_cast<std::size_t>(slots)), 900);
  decode::Generator<Model> generator(model, decode::no_end_of_text, {slots, slots + 256});
  const auto numbered = decode::numbered(prompts);
  std::size_t tokens = 0;
  for (auto _ : state)
    for (const auto& text : generator.generate(numbered, {.max_new = 32})) tokens += text.ids.size();
  state.counters["new tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
}

}  // namespace

BENCHMARK(decode_batch<Fp32>)->Arg(1)->Arg(8)->Arg(32)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(decode_batch<Bf16Mixed>)->Arg(1)->Arg(32)->Unit(benchmark::kMillisecond)->UseRealTime();
