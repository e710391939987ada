// The roofs themselves.
#include "op.hpp"

using namespace bench;

namespace {

template <class T>
void roof_matmul(benchmark::State& state) {
  constexpr Index n = 2048;
  Cpu cpu;
  const auto w = random<Matrix<T, n, n>>(cpu);
  const auto x = random_rows<T, n>(cpu, n);
  const Tensor<Rows<float, n>, Cpu> y(cpu, n);
  cpu.reserve_workspace(ops::matmul_workspace<T>(n, n, n));
  time<T>(state, cpu, {.flops = 2.0 * n * n * n}, [&] { ops::matmul(cpu, x.view(), w.view(), y.view()); });
}

/// Memory: the triad that is too large for most caches; and what GELU's x and y take.
void roof_triad(benchmark::State& state) {
  Cpu cpu;
  const double bytes = static_cast<double>(state.range(0)) * 0x1p20, rate = triad_bandwidth(cpu, bytes);
  for (auto _ : state) state.SetIterationTime(bytes / rate);
  report(state, {.bytes = bytes}, bytes / rate);
}

}  // namespace

BENCHMARK(roof_matmul<float>)->Name("roof/matmul/fp32")->Apply(op);
BENCHMARK(roof_matmul<bfloat16>)->Name("roof/matmul/bf16")->Apply(op);
BENCHMARK(roof_triad)->Name("roof/triad")->ArgName("MiB")->Arg(32)->Arg(768)->Unit(benchmark::kMillisecond)->UseManualTime();
