// A training step of GPT-2 124M (forward, backward, clip, AdamW) on the first dialogues, its matrix products alone, and a step on as many
// tokens in long documents and in short ones; and reading the weights before the first step.
// Each is one step after one that touches the memory; more of them: --benchmark_repetitions.
#include <benchmark/benchmark.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include <terse/terse.hpp>

#include "data.hpp"
#include "roof.hpp"

using namespace terse;

namespace {

text::Samples samples(const benchmark::State& state) {
  return text::make_samples(bench_tokenizer(), bench_dialogues(static_cast<std::size_t>(state.range(0))), models::Gpt2::context);
}

void count(benchmark::State& state, Index tokens, Index targets) {
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["tokens"] = static_cast<double>(tokens);
  state.counters["targets"] = static_cast<double>(targets);
}

/// From here on peak_bytes() counts, less what is given back before.
void restart_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

/// The most memory that the process has had resident.
double peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "VmHWM:" && status >> kib) return 1024 * kib;
  }
  return 0;
}

/// 1024 tokens in documents of state.range(0); of each the same share are targets.
std::vector<text::Sample> documents(const benchmark::State& state) {
  const auto length = static_cast<std::size_t>(state.range(0));
  std::vector<text::Sample> samples;
  for (std::size_t first = 0; first < 1024; first += length) {
    text::Sample sample{.row = static_cast<std::int64_t>(samples.size()), .prompt = length + 1 - length / 6, .ids = {}};
    for (std::size_t i = 0; i <= length; ++i) sample.ids.push_back(static_cast<TokenId>((first + i) * 7919 % models::Gpt2::vocabulary));
    samples.push_back(std::move(sample));
  }
  return samples;
}

template <Precision P>
void time_step(benchmark::State& state, const std::vector<text::Sample>& data, float dropped) {
  using Model = models::Gpt<models::Gpt2, P, Cpu>;
  restart_peak();
  std::vector<std::uint32_t> numbers(data.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  Cpu cpu;
  Model model(cpu);
  dist::Solo solo;
  text::BatchStorage storage(text::capacity_of(data, numbers, numbers.size()));
  const PackedBatch batch = text::pack(data, numbers, storage);
  const auto targets = static_cast<Index>(batch.targets.size());
  cpu.reserve_workspace(train::workspace_bytes<Model>(batch.tokens()));
  cpu.reserve_thread_scratch(train::thread_bytes<Model>());
  dist::DistributedDataParallel ddp(model, solo, {batch.tokens(), batch.sequences()});
  optim::AdamW adamw(model);
  nn::initialize<Model>(adamw.master(), 42);
  adamw.give_parameters();
  const ops::DropoutPlan dropout{dropped, 42};
  const double flops = bench::matmul_flops(batch.tokens(), targets), least = bench::least_seconds<typename P::Activation>(cpu, {.flops = flops});
  const auto step = [&] {
    ddp.clear();
    benchmark::DoNotOptimize(ddp.backward(batch, dropout, 1.0f));
    adamw.step(ddp.gradient(), optim::clip_factor(ddp.gradient_norm(), 1.0), {.lr = 1e-5});
  };
  step();
  for (auto _ : state) step();
  bench::report(state, {.flops = flops}, least);
  count(state, batch.tokens(), targets);
  state.counters["peak_bytes"] = peak_bytes();
  state.counters["plan_bytes"] = static_cast<double>(
      train::plan<Model>(batch.tokens(), batch.sequences(), {.threads = cpu.threads(), .takes_workspace = train::takes_workspace<Model>()}).total());
}

template <Precision P>
void train_step(benchmark::State& state) {
  time_step<P>(state, samples(state).samples, static_cast<float>(state.range(1)) / 100);
}

void document_step(benchmark::State& state) { time_step<Fp32>(state, documents(state), 0); }

/// The step's matrix products and nothing else, through the same library.
template <Precision P>
void matrix_products(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, P, Cpu>;
  using Act = typename P::Activation;
  constexpr Index C = Model::C, padded = Model::padded_V;
  const auto data = samples(state);
  Index tokens = 0, targets = 0;
  for (const auto& sample : data.samples) tokens += static_cast<Index>(sample.tokens()), targets += static_cast<Index>(sample.targets());
  Cpu cpu;
  cpu.reserve_workspace(train::workspace_bytes<Model>(tokens));
  Tensor<Rows<Act, 4 * C>, Cpu> wide(cpu, tokens);
  Tensor<Rows<Act, C>, Cpu> narrow(cpu, tokens);
  Tensor<Rows<float, C>, Cpu> out(cpu, tokens);
  Tensor<Matrix<Act, C, 4 * C>, Cpu> up(cpu);
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
  const auto step = [&] {
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
  };
  const double flops = bench::matmul_flops(tokens, targets), least = bench::least_seconds<Act>(cpu, {.flops = flops});
  step();
  for (auto _ : state) step();
  bench::report(state, {.flops = flops}, least);
  count(state, tokens, targets);
}

/// A file as Hugging Face's, in the page cache, to a model that can be trained.
void load(benchmark::State& state) {
  using Model = models::Gpt<models::Gpt2, Fp32, Cpu>;
  const auto file = std::filesystem::temp_directory_path() / concat("terse-bench-", getpid(), ".safetensors");
  {
    Cpu cpu;
    const Model written(cpu);
    nn::initialize<Model>(written.flat(), 42);
    io::write_weights<Model>(file, written.flat());
  }
  for (auto _ : state) {
    Cpu cpu;
    Model model(cpu);
    optim::AdamW adamw(model);
    io::read_weights<Model>(file, adamw.master());
    adamw.give_parameters();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(std::filesystem::file_size(file)) * state.iterations());
  std::filesystem::remove(file);
}

void step(benchmark::internal::Benchmark* benchmark) { benchmark->Iterations(1)->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime(); }

}  // namespace

BENCHMARK(train_step<Fp32>)->Name("train_step/fp32")->ArgNames({"samples", "dropout_percent"})->Args({8, 0})->Args({16, 0})->Args({16, 10})->Apply(step);
BENCHMARK(train_step<Bf16Mixed>)->Name("train_step/bf16")->ArgNames({"samples", "dropout_percent"})->Args({16, 0})->Apply(step);
BENCHMARK(document_step)->Name("train_step_documents/fp32")->ArgName("length")->Arg(256)->Arg(1024)->Apply(step);
BENCHMARK(matrix_products<Fp32>)->Name("train_step_matmuls/fp32")->ArgName("samples")->Arg(8)->Arg(16)->Apply(step);
BENCHMARK(matrix_products<Bf16Mixed>)->Name("train_step_matmuls/bf16")->ArgName("samples")->Arg(16)->Apply(step);
BENCHMARK(load)->Name("load/safetensors")->Apply(step);
