// The next token of 32 texts from their logits, which are spread over [-10, 10): top_p 0.9 leaves some thousand tokens.
#include <terse/ops/sample/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

void choose(benchmark::State& state, const ops::Sample& rule) {
  Cpu cpu;
  cpu.reserve_thread_scratch(ops::sample_scratch<float>(vocabulary));
  const auto logits = random_rows<float, padded_vocabulary>(cpu, decode_rows);
  for (Index i = 0; i < logits.size(); ++i) logits.data()[i] *= 10;
  std::vector<ops::Draw> draws(decode_rows);
  for (std::size_t b = 0; b < draws.size(); ++b) draws[b] = {.seed = 42, .text = b};
  std::vector<ops::Choice<float>> choices(decode_rows);
  time(state, cpu, {.bytes = bytes_of(logits)}, [&] { ops::sample<vocabulary>(cpu, rule, logits.view(), draws, std::span(choices)); });
}

void greedy(benchmark::State& state) { choose(state, {.greedy = true}); }
void top_k(benchmark::State& state) { choose(state, {.temperature = 0.7f, .top_k = 50}); }
void top_p(benchmark::State& state) { choose(state, {.temperature = 0.7f, .top_p = 0.9f}); }

}  // namespace

BENCHMARK(greedy)->Name("sample/greedy/fp32")->Apply(op);
BENCHMARK(top_k)->Name("sample/top_k/fp32")->Apply(op);
BENCHMARK(top_p)->Name("sample/top_p/fp32")->Apply(op);
