// A training step of GPT-2 124M on 8 dialogues (forward, backward, clip, AdamW), and its roof: the same matrix products alone.
// The peer is benchmarks/peers/transformers_train_step.py on the same dialogues.
#include <benchmark/benchmark.h>

#include <terse/terse.hpp>

#include "data.hpp"

using namespace terse;

namespace {

constexpr std::size_t dialogues = 8;
constexpr int threads = 2;

text::Samples samples() { return text::make_samples(bench_tokenizer(), bench_dialogues(dialogues), models::Gpt2::context); }

template <Precision P>
void train_step(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, P, Cpu>;
  const auto data = samples();
  std::vector<std::uint32_t> numbers(data.samples.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::uint32_t>(i);
  Cpu cpu(threads);
  Model model(cpu);
  dist::Solo solo;
  text::BatchStorage storage(text::capacity_of(data.samples, numbers, numbers.size()));
  const PackedBatch batch = text::pack(data.samples, numbers, storage);
  cpu.reserve_workspace(train::conversion_bytes<Model>(batch.tokens()));
  cpu.reserve_thread_scratch(train::thread_bytes<Model>());
  dist::DistributedDataParallel ddp(model, solo, {batch.tokens(), batch.sequences()});
  optim::AdamW adamw(model);
  nn::initialize<Model>(adamw.master(), 42);
  adamw.give_parameters();
  const ops::DropoutPlan dropout{static_cast<float>(state.range(0)) / 100, 42};
  for (auto _ : state) {
    ddp.clear();
    benchmark::DoNotOptimize(ddp.backward(batch, dropout, 1.0f));
    adamw.step(ddp.gradient(), optim::clip_factor(ddp.gradient_norm(), 1.0), {.lr = 1e-5});
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(batch.tokens()), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["tokens"] = static_cast<double>(batch.tokens());
  state.counters["targets"] = static_cast<double>(batch.targets.size());
}

/// The step's matrix products and nothing else, through the same library.
template <Precision P>
void matrix_products(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, P, Cpu>;
  using Act = typename P::Activation;
  constexpr Index C = Model::C, padded = Model::padded_V;
  const auto data = samples();
  Index tokens = 0, targets = 0;
  for (const auto& sample : data.samples) tokens += static_cast<Index>(sample.tokens()), targets += static_cast<Index>(sample.targets());
  Cpu cpu(threads);
  cpu.reserve_workspace(train::conversion_bytes<Model>(tokens));
  Tensor<Rows<Act, 4 * C>, Cpu> wide(cpu, tokens);
  Tensor<Rows<Act, C>, Cpu> narrow(cpu, tokens);
  Tensor<Rows<float, C>, Cpu> out(cpu, tokens);
  Tensor<Matrix<Act, C, 4 * C>, Cpu> up(cpu);
  Tensor<Matrix<Act, 4 * C, C>, Cpu> down(cpu);
  Tensor<Matrix<Act, padded, C>, Cpu> vocabulary(cpu);
  Tensor<Matrix<float, 4 * C, C>, Cpu> gradient(cpu);
  Tensor<Matrix<float, padded, C>, Cpu> vocabulary_gradient(cpu);
  Tensor<Rows<float, padded>, Cpu> logits(cpu, Model::head_rows);
  Tensor<Rows<Act, padded>, Cpu> slopes(cpu, Model::head_rows);
  const auto layer = [&]<Index In, Index Out>() {
    const Rows<Act, In> x{wide.data(), tokens};
    const Rows<Act, Out> y{wide.data(), tokens};
    const Matrix<Act, In, Out> weight{up.data()};
    if constexpr (Out == C) ops::matmul(cpu, x, weight, out.view());
    else ops::matmul(cpu, Rows<Act, In>{narrow.data(), tokens}, weight, y);
    ops::matmul_transposed(cpu, y, weight, Rows<Act, In>{In == C ? narrow.data() : wide.data(), tokens});
    ops::matmul_gradient(cpu, In == C ? Rows<Act, In>{narrow.data(), tokens} : x, y, Matrix<float, In, Out>{gradient.data()}, Write::accumulate);
  };
  for (auto _ : state) {
    for (int l = 0; l < models::Gpt2::layers; ++l) {
      layer.template operator()<C, 3 * C>();
      layer.template operator()<C, C>();
      layer.template operator()<C, 4 * C>();
      layer.template operator()<4 * C, C>();
    }
    for (Index first = 0; first < targets; first += Model::head_rows) {
      const Index n = std::min(Model::head_rows, targets - first);
      const auto rows = narrow.view().slice(0, n);
      const auto slope = slopes.view().slice(0, n);
      ops::matmul_transposed(cpu, rows, vocabulary.view(), logits.view().slice(0, n));
      ops::matmul(cpu, slope, vocabulary.view(), out.view().slice(0, n));
      ops::matmul_gradient(cpu, rows, slope, Matrix<float, C, padded>{vocabulary_gradient.data()}, Write::accumulate);
    }
  }
  const double operations = 6.0 * (12.0 * models::Gpt2::layers * static_cast<double>(C * C * tokens) + static_cast<double>(padded * C * targets));
  state.counters["FLOP/s"] = benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

BENCHMARK(train_step<Fp32>)->Arg(0)->Arg(10)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(matrix_products<Fp32>)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(train_step<Bf16Mixed>)->Arg(0)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(matrix_products<Bf16Mixed>)->Unit(benchmark::kMillisecond)->UseRealTime();
