// Tokenizing and scoring the first 500 dialogues, one thread where no more are named. A summary is scored against the next one.
// TERSE_BENCH_CORPUS names a large text, each line a document, from which a tokenizer of 32,000 tokens is learned.
#include <benchmark/benchmark.h>

#include <fstream>
#include <thread>

#include <terse/metrics/rouge.hpp>
#include <terse/text/bpe_trainer.hpp>

#include "data.hpp"

using namespace terse;

namespace {

void bpe_encode(benchmark::State& state) {
  static const auto tokenizer = bench_tokenizer();  // shared by all threads
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

/// What a merger that looks at all pairs after each merge takes hours for.
void bpe_one_letter(benchmark::State& state) {
  const auto tokenizer = bench_tokenizer();
  const std::string text(1000000, 'a');
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode(text).size());
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}

void bpe_train(benchmark::State& state) {
  std::vector<std::string> texts;
  for (const auto& row : bench_dialogues(500).rows) texts.push_back(row.text);
  for (auto _ : state) benchmark::DoNotOptimize(text::train_bpe(texts, {.vocabulary = 4096}).vocabulary());
}

void bpe_train_corpus(benchmark::State& state) {
  std::vector<std::string> lines;
  std::ifstream file(std::getenv("TERSE_BENCH_CORPUS"));
  std::size_t bytes = 0;
  for (std::string line; std::getline(file, line); bytes += lines.back().size()) lines.push_back(line + '\n');
  for (auto _ : state) benchmark::DoNotOptimize(text::train_bpe(lines, {.vocabulary = 32000}).vocabulary());
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
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

BENCHMARK(bpe_encode)->Name("bpe/encode")->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK(bpe_encode)->Name("bpe/encode")->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime()->Threads(static_cast<int>(std::max(2u, std::thread::hardware_concurrency())));
BENCHMARK(bpe_one_letter)->Name("bpe/one_letter")->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK(bpe_train)->Name("bpe/train")->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();
BENCHMARK(rouge_pairs)->Name("rouge/pairs")->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();

[[maybe_unused]] static const auto* const corpus =
    std::getenv("TERSE_BENCH_CORPUS") == nullptr
        ? nullptr
        : benchmark::RegisterBenchmark("bpe/train_corpus", bpe_train_corpus)->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime()->Iterations(1);
