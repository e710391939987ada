// Sums over two ranks beside what copying as many bytes takes both of them at the same time: `copy` is the copies' time over the sums', 0.5 what is asked.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <terse/dist/shared.hpp>
#include <terse/dist/threads.hpp>

using namespace terse;

namespace {

constexpr int ranks = 2, calls = 5;

using Body = std::function<void(dist::Communicator&)>;

void on_threads(const Body& body) { dist::launch(ranks, body); }

void on_processes(const Body& body) {
  static int runs = 0;
  const std::string run = concat("bench-", ::getpid(), "-", ++runs);
  const pid_t other = ::fork();
  {
    dist::Shared communicator(run, other == 0 ? 1 : 0, ranks);
    body(communicator);
  }
  if (other == 0) ::_exit(0);
  ::waitpid(other, nullptr, 0);
}

/// Seconds of a call: all ranks begin together.
double seconds_of(dist::Communicator& communicator, const std::function<void()>& call) {
  call();
  communicator.barrier();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) call();
  communicator.barrier();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls;
}

template <class T, auto on_ranks>
void all_reduce(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0)) << 20;
  double sums = 0, copies = 0;
  long rounds = 0;
  for (auto _ : state) {
    double sum = 0, copy = 0;
    on_ranks([&](dist::Communicator& communicator) {
      std::vector<T> values(bytes / sizeof(T)), target(bytes / sizeof(T));
      const double copying = seconds_of(communicator, [&] { std::memcpy(target.data(), values.data(), bytes), benchmark::ClobberMemory(); });
      const double summing = seconds_of(communicator, [&] { communicator.all_reduce(std::span(values)); });
      if (communicator.is_first()) copy = copying, sum = summing;
    });
    state.SetIterationTime(sum);
    sums += sum, copies += copy, ++rounds;
  }
  state.SetBytesProcessed(rounds * static_cast<std::int64_t>(bytes));
  state.counters["copy"] = copies / sums;
}

/// MiB of a bucket, and of GPT-2 124M's gradient.
void sizes(benchmark::internal::Benchmark* it) { it->ArgName("MiB")->Arg(25)->Arg(475)->UseManualTime()->Unit(benchmark::kMillisecond); }

}  // namespace

BENCHMARK_TEMPLATE(all_reduce, float, on_threads)->Name("dist/all_reduce/threads/fp32")->Apply(sizes);
BENCHMARK_TEMPLATE(all_reduce, float, on_processes)->Name("dist/all_reduce/shared/fp32")->Apply(sizes);
BENCHMARK_TEMPLATE(all_reduce, bfloat16, on_threads)->Name("dist/all_reduce/threads/bf16")->Apply(sizes);
BENCHMARK_TEMPLATE(all_reduce, bfloat16, on_processes)->Name("dist/all_reduce/shared/bf16")->Apply(sizes);
