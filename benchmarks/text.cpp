// Tokenizing and scoring the first 500 dialogues, one thread. A summary is scored against the next one.
#include <benchmark/benchmark.h>

#include <terse/metrics/rouge.hpp>
#include <terse/text/bpe_trainer.hpp>

#include "data.hpp"

using namespace terse;

namespace {

void bpe_encode(benchmark::State& state) {
  const auto tokenizer = bench_tokenizer();
  const auto dialogues = bench_dialogues(500);
  std::size_t bytes = 0;
  for (const auto& row : dialogues.rows) bytes += row.text.size();
  std::vector<TokenId> ids;
  std::size_t tokens = 0;
  for (auto _ : state) {
    tokens = 0;
    for (const auto& row : dialogues.rows) {
      ids.clear();
      tokenizer.encode(row.text, ids);
      tokens += ids.size();
    }
  }
  state.counters["tokens"] = static_cast<double>(tokens);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}

void bpe_train(benchmark::State& state) {
  std::vector<std::string> texts;
  for (const auto& row : bench_dialogues(500).rows) texts.push_back(row.text);
  for (auto _ : state) benchmark::DoNotOptimize(text::train_bpe(texts, {.vocabulary = 4096}).vocabulary());
}

void rouge_pairs(benchmark::State& state) {
  const auto dialogues = bench_dialogues(500);
  for (auto _ : state) {
    metrics::RougeScorer score;  // a new one each time, since it remembers the stems it met
    for (std::size_t i = 0; i + 1 < dialogues.rows.size(); ++i)
      benchmark::DoNotOptimize(score(dialogues.rows[i].summary, dialogues.rows[i + 1].summary).rouge1.f1);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(dialogues.rows.size() - 1) * state.iterations());
}

}  // namespace

BENCHMARK(bpe_encode)->Name("bpe/encode")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(bpe_train)->Name("bpe/train")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(rouge_pairs)->Name("rouge/pairs")->Unit(benchmark::kMillisecond)->UseRealTime();
