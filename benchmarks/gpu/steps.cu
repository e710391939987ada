// bench_gpu_steps: whole training steps of GPT-2 124M in a Trainer, on one GPU and on two, and decoding; random weights, documents as long as dialogues are.
// peers/gpu.py does the same work under the same names.
#include <terse/cuda.hpp>

#include <chrono>
#include <numeric>
#include <vector>

#include <benchmark/benchmark.h>

#include "../work.hpp"
#include "main.hpp"

using namespace terse;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t lengths[] = {
#include "../ops/lengths.inc"
};
constexpr std::size_t summary = 45;  // tokens of a document that are targets, its end among them
constexpr long warm_steps = 5, timed_steps = 20;
constexpr int new_tokens = 32;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Ids that are far apart in the table, as a text's are.
std::vector<TokenId> ids(std::size_t count, std::size_t first = 0) {
  std::vector<TokenId> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = static_cast<TokenId>((first + i) * 7919 % models::Gpt2::vocabulary);
  return result;
}

std::vector<text::Sample> dialogues() {
  std::vector<text::Sample> samples;
  for (const std::size_t length : lengths)
    samples.push_back({.row = static_cast<std::int64_t>(samples.size()), .prompt = length + 1 - summary, .ids = ids(length + 1, 1000 * samples.size())});
  return samples;
}

/// Full contexts, in which every token is a target.
std::vector<text::Sample> windows() { return text::windows(ids(4 * models::Gpt2::context + 1), models::Gpt2::context); }

template <class Model>
void initialize(Cuda& cuda, auto* parameters) {
  write_on_host(cuda, parameters, Model::flat_size, [](auto* values) { nn::initialize<Model>(values, 42); });
}

/// How long a step takes while steps follow each other.
class Pace {
 public:
  void operator()(const train::StepRecord& step) {
    if (step.step == warm_steps) start_ = Clock::now();
    if (step.step == warm_steps + timed_steps) seconds_ = seconds_since(start_) / timed_steps;
    tokens_ = step.tokens, targets_ = step.targets;
  }
  void report(benchmark::State& state) const {
    state.SetIterationTime(seconds_);
    bench::report_rates(state, {.flops = bench::matmul_flops(tokens_, targets_)});
    bench::rate(state, "tokens/s", static_cast<double>(tokens_));
    state.counters["tokens"] = static_cast<double>(tokens_);
    state.counters["targets"] = static_cast<double>(targets_);
  }

 private:
  Clock::time_point start_;
  double seconds_ = 0;
  Index tokens_ = 0, targets_ = 0;
};

struct Job {
  std::vector<text::Sample> samples;
  float dropout = 0;
  int ranks = 1;
  long accumulate = 1;
};

/// Each step takes all samples of the job, on each rank, so many times.
template <Precision P>
void train_step(benchmark::State& state, const Job& job) {
  using Model = models::Gpt<models::Gpt2, P, Cuda>;
  std::vector<std::uint32_t> numbers(job.samples.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  train::TrainOptions options;
  options.schedule = {.batch = static_cast<std::int64_t>(job.samples.size()), .accumulate = job.accumulate, .ranks = job.ranks, .steps = warm_steps + timed_steps};
  options.rates.lr = 1e-5;
  options.dropout = job.dropout;
  for (auto _ : state) {
    Pace pace;
    dist::launch(job.ranks, [&](dist::Communicator& rank) {
      Cuda cuda(rank.rank());
      Model model(cuda);
      train::Trainer<Model> trainer(model, rank, {job.samples, numbers, {}, {}}, options);
      if (rank.is_first()) initialize<Model>(cuda, trainer.parameters());
      trainer.share_parameters();
      trainer.run([&](const train::StepRecord& step) { pace(step); });
    });
    pace.report(state);
  }
}

/// Reading the prompts counts too.
template <Precision P>
void decode_batch(benchmark::State& state, Index texts) {
  using Model = models::Gpt<models::Gpt2, P, Cuda>;
  Cuda cuda;
  Model model(cuda);
  initialize<Model>(cuda, model.flat());
  std::vector<std::vector<TokenId>> prompts;
  std::size_t tokens = 0;
  for (std::size_t t = 0; t < static_cast<std::size_t>(texts); ++t) {
    prompts.push_back(ids(lengths[t % std::size(lengths)] + 1 - summary, 1000 * t));
    tokens += prompts.back().size();
  }
  decode::Generator<Model> generator(model, decode::no_end_of_text, {texts, texts + 256});
  const auto numbered = decode::numbered(prompts);
  const auto generate = [&] { benchmark::DoNotOptimize(generator.generate(numbered, {.greedy = true, .max_new = new_tokens})); };
  generate();
  for (auto _ : state) {
    const auto start = Clock::now();
    generate();
    state.SetIterationTime(seconds_since(start));
  }
  bench::rate(state, "new tokens/s", static_cast<double>(texts * new_tokens));
  state.counters["tokens"] = static_cast<double>(tokens);
}

/// What goes wrong in one is told in its line, and the others go on.
template <class Body>
void add(const std::string& name, Body body) {
  const auto run = [body](benchmark::State& state) {
    try {
      body(state);
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
    }
  };
  benchmark::RegisterBenchmark(name.c_str(), run)->Iterations(1)->Unit(benchmark::kMillisecond)->UseManualTime();
}

template <Precision P>
void add_steps(const std::string& precision, int gpus) {
  add("train_step/dialogues/" + precision, [](benchmark::State& state) { train_step<P>(state, {.samples = dialogues(), .dropout = 0.1f}); });
  add("train_step/4x1024/" + precision, [](benchmark::State& state) { train_step<P>(state, {.samples = windows()}); });
  for (const Index texts : {1, 32}) add(concat("decode/", texts, "_texts/", precision), [texts](benchmark::State& state) { decode_batch<P>(state, texts); });
  // Each rank does what one does: were talking free, a step of two would take as long as that of one.
  for (const int ranks : {1, 2})
    if (ranks <= gpus)
      add(concat("ranks/", ranks, "/", precision), [ranks](benchmark::State& state) { train_step<P>(state, {.samples = dialogues(), .dropout = 0.1f, .ranks = ranks, .accumulate = 8}); });
}

}  // namespace

void bench::add_benchmarks(int capability) {
  int gpus = 0;
  device::check(cudaGetDeviceCount(&gpus), "number of GPUs");
  add_steps<Fp16Mixed>("fp16", gpus);
  if (capability >= 80) add_steps<Bf16Mixed>("bf16", gpus);
}
